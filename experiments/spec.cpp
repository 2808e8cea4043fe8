#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/text.hpp"
#include "experiments/fields.hpp"
#include "experiments/spec.hpp"
#include "experiments/tree_spec.hpp"
#include "features/gtzan.hpp"

namespace genretree {
namespace {

// ------------------------------------------------------------------------------------------------------------ data set

constexpr const char *by_index_name = "paper-420-120-60", *random_name = "random-420-120-60";

/// A split's name for the report; the paper's two have names of their own.
std::string split_name(const SplitConfig& split) {
  if (split.kind == SplitConfig::Kind::lists) {
    std::vector<std::string> files;
    for (const std::filesystem::path& list : {split.train_list, split.validation_list, split.test_list})
      if (!list.empty()) files.push_back(list.filename().string());
    return "lists " + join(files);
  }
  const bool random = split.kind == SplitConfig::Kind::random;
  if (split.train == 70 && split.validation == 20 && split.test == 10) return random ? random_name : by_index_name;
  const auto share = [&](double value) {
    return split.fractions ? fmt::format("{} %", 100 * value) : fmt::format("{}", value);
  };
  return fmt::format("{} {} / {} / {} of each genre", random ? "random" : "by-index",
                     split.train > 0 ? share(split.train) : "rest", share(split.validation), share(split.test));
}

void check_shares(Fields& fields, SplitConfig& split) {
  const auto is_count = [](double share) { return share == std::floor(share); };
  const bool counts = is_count(split.train) && is_count(split.validation) && is_count(split.test);
  fields.require(split.test > 0, "test", "without test tracks there is nothing to report; give a count or a fraction");
  for (const auto& [key, share] :
       {std::pair{"train", split.train}, {"validation", split.validation}, {"test", split.test}})
    fields.require(counts || share < 1, key,
                   fmt::format("{} cannot stand beside the split's other values: give whole numbers of tracks in all "
                               "three, or fractions below 1 in all three (0: none)",
                               share));
  fields.require(counts || split.kind == SplitConfig::Kind::random, "kind",
                 "by-index counts tracks: give whole numbers, or kind: random");
  fields.require(
      counts || split.train + split.validation + split.test <= 1 + 1e-9, "train",
      fmt::format("the fractions add up to {:.6g}, more than 1", split.train + split.validation + split.test));
  if (fields.reading()) split.fractions = !counts;
}

/// `test_fraction: 0.25` is `kind: random` and `test: 0.25`, and is written so.
void read_test_fraction(Fields& fields, SplitConfig& split) {
  if (!fields.reading()) return;
  if (fields.holds("test_fraction", YamlValue::Kind::scalar, false)) split.kind = SplitConfig::Kind::random;
  fields.key(real("test_fraction", split.test, {0, 1, false, false}, ""));
  fields.require(split.test == 0 || !fields.holds("test", YamlValue::Kind::scalar, false), "test",
                 "stands beside test_fraction, which says the same; remove one");
}

void describe_split_group(Fields& fields, SplitConfig& split) {
  using Kind = SplitConfig::Kind;
  if (fields.reading()) split.train = split.validation = split.test = 0;
  read_test_fraction(fields, split);
  fields.key(
      choice<Kind>("kind", split.kind, {{"by-index", Kind::by_index}, {"random", Kind::random}, {"lists", Kind::lists}},
                   "by-index: in the order of the track numbers, test first, then validation, then training; random: "
                   "drawn anew for each trial; lists: files that name the tracks of each set."));
  if (split.kind == Kind::lists) {
    const char* documentation = "A file with one track a line, e.g. blues/blues.00012.wav; relative to this file.";
    fields.key(path("train", split.train_list, documentation));
    fields.key(path("validation", split.validation_list, documentation));
    fields.key(path("test", split.test_list, documentation));
    fields.require(!split.train_list.empty(), "train", "kind: lists needs a file of training tracks");
    fields.require(!split.test_list.empty(), "test", "kind: lists needs a file of test tracks");
  } else {
    const auto share = [&](const char* key, double& value, const char* documentation) {
      Field field = real(key, value, {0, 1e6}, documentation);
      field.allowed = "a whole number of tracks, or a fraction below 1";
      fields.key(field);
    };
    share("train", split.train, "Training tracks of each genre, a number or a fraction; 0 takes all that are left.");
    share("validation", split.validation, "Validation tracks of each genre; 0 goes without.");
    share("test", split.test,
          "Test tracks of each genre. test_fraction: 0.25 is short for kind: random and test: 0.25.");
    check_shares(fields, split);
  }
  fields.key(
      path("artists", split.artists,
           "A file that names the artist of each track, for a warning if songs of one artist are on both sides of "
           "training and test; changes no result. Lines: TRACK<tab>ARTIST or TRACK ::: ARTIST ::: TITLE."));
  if (fields.reading()) split.name = split_name(split);
}

void describe_split(Fields& fields, SplitConfig& split) {
  const bool is_named = (split.name == by_index_name || split.name == random_name) && split.artists.empty();
  if (fields.holds("split", YamlValue::Kind::map, !is_named)) {
    fields.group("split", "How the tracks of each genre are divided; no track is ever in two sets.",
                 [&] { describe_split_group(fields, split); });
    return;
  }
  Field name = choice<std::string>(
      "split", split.name, {{by_index_name, by_index_name}, {random_name, random_name}},
      "Training, validation and test tracks. paper-420-120-60: 70, 20 and 10 of each genre by track number "
      "(00000-00009 test, 00010-00029 validation, the rest training), as in the code that the paper builds on; "
      "random-420-120-60: as many, drawn anew for each trial, as the paper's words say. Or a group, such as "
      "{kind: random, train: 0.6, validation: 0.2, test: 0.2}, {kind: by-index, train: 70, validation: 20, test: 10}, "
      "or {kind: lists, train: FILE, validation: FILE, test: FILE}.");
  name.allowed += " | a group {kind: by-index | random | lists, train: …, validation: …, test: …}";
  fields.key(name);
  if (fields.reading()) split = named_split(split.name);
}

void describe_dataset(Fields& fields, DatasetSpec& dataset) {
  Field name = text("name", dataset.name, "gtzan | built-in | a name of your own, with dataset.path",
                    "gtzan: 1000 clips of 30 s in ten genres, read from dataset.path; built-in: synthetic music that "
                    "the program makes itself; any other name: audio files of your own in dataset.path, a folder for "
                    "each genre. `dataset: built-in` alone is short for {name: built-in}.");
  name.choices = {"gtzan", "built-in"};
  fields.key(name);
  const bool built_in = dataset.name == "built-in", ten_genres = built_in || dataset.name == "gtzan";
  fields.only_if(!built_in, "data from files, not dataset.name: built-in", [&] {
    fields.key(path(
        "path", dataset.path,
        "Folder with a subfolder for each genre, or a feature store (.h5) of extract_features; a relative path starts "
        "at this file's folder (given by --set: at the current one). Empty: where GTZAN usually lies."));
  });
  fields.require(ten_genres || !dataset.path.empty(), "name",
                 fmt::format("'{}' is neither gtzan nor built-in, so dataset.path must say where its audio files are{}",
                             dataset.name, did_you_mean(dataset.name, name.choices)));

  const std::vector<std::string> known = ten_genres ? gtzan_genres() : std::vector<std::string>{};
  Field genres = list<std::string>(
      "genres", dataset.genres,
      known.empty() ? "a list of distinct genres" : fmt::format("a list of distinct genres of {}", join(known)),
      "The genres to tell apart, at least two; an empty list takes all that the data set has.",
      [&](const YamlValue& item, std::string& genre) {
        genre = item.text;
        return item.kind == YamlValue::Kind::scalar && !genre.empty() &&
               (known.empty() || std::find(known.begin(), known.end(), genre) != known.end());
      },
      yaml_text);
  genres.choices = known;
  fields.key(genres);
  fields.require(dataset.genres.size() != 1, "genres",
                 "a single genre cannot be told from anything; name two or more, or none for all");

  describe_split(fields, dataset.split);
  fields.key(whole("window", dataset.window, 0, 1'000'000,
                   "Frames that an LSTM hears at once: in training a window of each clip that begins anywhere, anew in "
                   "each epoch; a clip is judged by the mean of its probabilities over as many windows as it takes to "
                   "hear all of features.frames, which in shorter clips overlap. 0: whole clips."));
  fields.only_if(built_in, "dataset.name: built-in", [&] {
    fields.key(
        whole("clips_per_genre", dataset.corpus.clips_per_genre, 3, 100'000, "Clips that are made of each genre."));
    fields.key(real("seconds", dataset.corpus.seconds, {1, 600}, "Length of each clip."));
    fields.key(whole("corpus_seed", dataset.corpus.seed, 0, std::numeric_limits<std::uint64_t>::max(),
                     "The corpus is a pure function of this number."));
  });
}

// ------------------------------------------------------------------------------------------------------------ features

/// What features/spectral.hpp reads and checks, with the words for the user.
struct FeatureKey {
  const char *key, *allowed, *documentation;
};
constexpr FeatureKey feature_documentation[] = {
    {"kind", "mfcc | log-mel | mel | spectral33",
     "What each frame holds. mfcc: mel-frequency cepstral coefficients. log-mel: the mel bands in decibels, from 80 dB "
     "below the clip's maximum up. mel: the mel bands' power. spectral33: 13 MFCC, the spectral centroid, 12 chroma "
     "and 7 bands of spectral "
     "contrast, what the code that the paper builds on learns from."},
    {"coefficients", "[first, count]",
     "Which coefficients (of kind mfcc alone): [1, 13] is C1 to C13, the paper's; first = 1 leaves out C0, the "
     "loudness."},
    {"frames", "a whole number from 1",
     "Frames of each clip; longer clips are cut, shorter ones are filled. 1293 is 30 s."},
    {"pad", "zero | edge",
     "Short clips are filled with copies of their last frame, or with zeros (which mean: loud, unless clip_mean is "
     "removed)."},
    {"compat", "librosa-1.0 | librosa-0.6",
     "Whose numbers to match: today's librosa (a clip goes on in zeros beyond its ends) or the one of the paper's time "
     "(mirrored). Audio at another rate is resampled with soxr in both, where librosa 0.6 took resampy."},
    {"sample_rate", "Hz", "Everything is resampled to this rate."},
    {"n_fft", "a power of two", "Samples of the window: 2048 at 22050 Hz is 93 ms."},
    {"hop", "a whole number from 1",
     "Samples from one frame to the next: 512 at 22050 Hz is 23 ms, the paper's rounded 25 ms."},
    {"mels", "a whole number from 1", "Mel bands."},
    {"clip_mean", "keep | remove",
     "remove: each number less its mean over the whole track, however much of it is heard (cepstral mean "
     "normalisation), so that what is particular to a "
     "recording as a whole does not tell its genre."},
    {"deltas", "0 | 1 | 2",
     "Adds to each number of a frame its slope over nine frames (1), and its curvature, too (2): librosa's "
     "feature.delta."},
};

std::string feature_value(const FeatureConfig& features, const char* key) {
  // a store's text has these two only where they are not the default
  if (std::string_view(key) == "deltas") return fmt::format("{}", features.deltas);
  if (std::string_view(key) == "clip_mean") return std::string(name_of(features.clip_mean));
  const nlohmann::json value = nlohmann::json::parse(to_json(features)).at(key);
  if (value.is_string()) return yaml_text(value.get<std::string>());
  return value.is_array() ? fmt::format("[{}, {}]", value[0].dump(), value[1].dump()) : value.dump();
}

void describe_features(Fields& fields, Spec& spec) {
  FeatureConfig& features = spec.features;
  for (const FeatureKey& row : feature_documentation)
    fields.only_if(features.kind == FeatureKind::mfcc || std::string_view(row.key) != "coefficients",
                   "features.kind: mfcc", [&] {
                     fields.key({row.key,
                                 row.documentation,
                                 row.allowed,
                                 {},
                                 [&](const YamlValue& value) -> const YamlValue* {
                                   set_feature(features, row.key, value);
                                   return nullptr;
                                 },
                                 [&] { return feature_value(features, row.key); }});
                   });
  try {
    validate(features);
  } catch (const InputError& error) {
    fields.require(false, "", error.what());
  }
  fields.key(choice<bool>("normalize", spec.stack.standardise, {{"none", false}, {"train-set", true}},
                          "train-set: an LSTM is given each number of a frame with mean 0 and standard deviation 1, "
                          "both taken from the training clips of the run and kept with the weights; none: the features "
                          "as they are. (A CNN has model.standardise.)"));
}

// -------------------------------------------------------------------------------------------------- model and training

/// paper: the LSTM of Eq. (1). Eq. (1) writes the output as σ(h·W) without a bias; since the paper reports a
/// categorical loss, the output here is Keras's Dense softmax with a bias, under cross-entropy, in both presets.
/// keras2018: the code that the paper builds on, with Keras 2's hard sigmoid and both dropouts.
void apply_preset(Spec& spec) {
  const bool keras2018 = spec.preset == "keras2018";
  spec.stack.gate = keras2018 ? Gate::hard_sigmoid : Gate::sigmoid;
  spec.stack.dropout = keras2018 ? 0.05 : 0;
  spec.stack.recurrent_dropout = keras2018 ? 0.35 : 0;
}

/// One layer of the list, as the file has it.
struct LayerText {
  const YamlValue* value = nullptr;  ///< of its kind: 128 of {lstm: 128}
  const YamlValue* pool = nullptr;   ///< of {conv: 32, pool: 2}
};

/// Nothing if it is no map of this kind. `with_pool`: whether a pool stands beside.
std::optional<LayerText> layer_of(const YamlValue& layer, const char* kind, bool with_pool = false) {
  const LayerText text{layer.find(kind), layer.find("pool")};
  if (!text.value || layer.entries.size() != (with_pool ? 2u : 1u) || with_pool != (text.pool != nullptr))
    return std::nullopt;
  return text;
}

/// [{conv: 32, pool: 4}, …, {dense: 256}, {dense: softmax}]; returns what is wrong. What is no layer is kept.
const YamlValue* read_cnn(const YamlValue& yaml, CnnConfig& cnn) {
  std::vector<CnnConfig::Stage> stages;
  std::uint64_t units = 0;
  if (yaml.items.size() < 3) return &yaml;
  for (std::size_t l = 0; l + 2 < yaml.items.size(); ++l) {
    const std::optional<LayerText> layer = layer_of(yaml.items[l], "conv", true);
    if (!layer) return &yaml.items[l];
    std::uint64_t filters = 0, pool = 0;
    if (!read_whole(*layer->value, 1, 4096, filters)) return layer->value;
    if (!read_whole(*layer->pool, 1, 64, pool)) return layer->pool;
    stages.push_back({filters, pool});
  }
  const YamlValue &hidden_item = yaml.items[yaml.items.size() - 2], &last_item = yaml.items.back();
  const std::optional<LayerText> hidden = layer_of(hidden_item, "dense"), last = layer_of(last_item, "dense");
  if (!hidden) return &hidden_item;
  if (!read_whole(*hidden->value, 1, 65536, units)) return hidden->value;
  if (!last) return &last_item;
  if (last->value->text != "softmax") return last->value;
  cnn.stages = std::move(stages), cnn.units = units;
  return nullptr;
}

const YamlValue* read_stack(const YamlValue& yaml, std::vector<std::size_t>& units) {
  std::vector<std::size_t> read;
  for (const YamlValue& item : yaml.items) {
    const bool is_last = &item == &yaml.items.back();
    const std::optional<LayerText> layer = layer_of(item, is_last ? "dense" : "lstm");
    if (!layer) return &item;
    std::uint64_t count = 0;
    if (is_last ? layer->value->text != "softmax" : !read_whole(*layer->value, 1, 4096, count)) return layer->value;
    if (!is_last) read.push_back(count);
  }
  units = std::move(read);
  return nullptr;
}

std::string write_layers(const Spec& spec) {
  std::string layers;
  if (spec.cnn) {
    for (const auto& [filters, pool] : spec.cnn->stages)
      layers += fmt::format("{{conv: {}, pool: {}}}, ", filters, pool);
    layers += fmt::format("{{dense: {}}}, ", spec.cnn->units);
  } else {
    for (const std::size_t units : spec.stack.units) layers += fmt::format("{{lstm: {}}}, ", units);
  }
  return fmt::format("[{}{{dense: softmax}}]", layers);
}

Field describe_layers(Spec& spec) {
  return {"layers",
          "From the input up. An LSTM: its layers with their units, then the dense softmax layer over the genres. A "
          "CNN: convolutions of 4 × 4 with their filters, each with ReLU and max pooling of pool × pool; a dense layer "
          "with ReLU; then the dense softmax layer.",
          "a list such as [{lstm: 128}, {lstm: 32}, {dense: softmax}]: one to eight lstm layers of 1 to 4096 units, "
          "then dense: softmax; or such as [{conv: 32, pool: 4}, {conv: 16, pool: 2}, {dense: 256}, {dense: softmax}]: "
          "one to seven conv layers of 1 to 4096 filters with a pool of 1 to 64, a dense layer of 1 to 65536 units, "
          "then dense: softmax",
          {},
          [&spec](const YamlValue& yaml) -> const YamlValue* {
            if (yaml.kind != YamlValue::Kind::sequence || yaml.items.size() < 2 || yaml.items.size() > 9) return &yaml;
            if (!yaml.items.front().find("conv")) return read_stack(yaml, spec.stack.units);
            CnnConfig cnn;
            const YamlValue* wrong = read_cnn(yaml, cnn);
            if (!wrong) spec.cnn = std::move(cnn);
            return wrong;
          },
          [&spec] { return write_layers(spec); }};
}

void describe_lstm(Fields& fields, Spec& spec) {
  fields.key(choice<std::string>(
      "preset", spec.preset, {{"paper", "paper"}, {"keras2018", "keras2018"}},
      "Sets what gate, dropout and recurrent_dropout are unless they are given. paper: the standard LSTM of Eq. (1), "
      "no dropout (Eq. (1) writes the output as σ(h·W); since the paper reports a categorical loss, it is softmax with "
      "a bias and cross-entropy here). keras2018: the code that the paper builds on, hard_sigmoid, dropout 0.05, "
      "recurrent dropout 0.35."));
  if (fields.reading()) apply_preset(spec);
  fields.key(
      choice<Gate>("gate", spec.stack.gate,
                   {{"sigmoid", Gate::sigmoid},
                    {"hard_sigmoid", Gate::hard_sigmoid},
                    {"hard_sigmoid_keras3", Gate::hard_sigmoid_keras3}},
                   "Activation of the gates. hard_sigmoid: clip(0.2 x + 0.5, 0, 1) as in Keras 2; hard_sigmoid_keras3: "
                   "relu6(x + 3) / 6."));
}

void describe_readout(Fields& fields, NetworkConfig& stack) {
  fields.key(choice<Readout>(
      "readout", stack.readout,
      {{"last", Readout::last}, {"mean", Readout::mean}, {"max", Readout::max}, {"mean_max", Readout::mean_max}},
      "What the dense layer is given of the last LSTM layer: its outputs after the last frame, their mean or maximum "
      "over all frames, or both."));
  fields.key(choice<bool>("bidirectional", stack.bidirectional, {{"true", true}, {"false", false}},
                          "Each LSTM layer is two, of which one hears the clip backwards; both have the layer's units, "
                          "and their outputs are put side by side."));
  fields.key(
      real("layer_dropout", stack.layer_dropout, {0, 1, true, false},
           "Share of what the next layer, and at the end the dense layer, is given that is dropped in training: "
           "the same numbers in all frames (variational dropout; torch.nn.LSTM's draws anew for each frame). "
           "model.dropout acts within the cells, for each gate by itself, and on the first layer's inputs, too."));
}

void describe_cnn(Fields& fields, Spec& spec) {
  CnnConfig unused, &cnn = spec.cnn ? *spec.cnn : unused;
  fields.key(whole("neighbours", cnn.channels, 1, 64,
                   "Channels of the image of frames × coefficients: channel c of frame t is frame t + c. So "
                   "features.frames = 600 and 2 neighbours make an image of 599 frames."));
  fields.require(
      !spec.cnn || spec.features.frames >= cnn.channels, "neighbours",
      fmt::format("{} neighbours leave no frame of features.frames = {}", cnn.channels, spec.features.frames));
  fields.key(choice<Initialisation>(
      "initialisation", spec.initialisation, {{"he", Initialisation::he}, {"original", Initialisation::original}},
      "Where the weights begin. he: kernels normal with variance 2 / inputs (the softmax layer's Glorot uniform), "
      "biases 0; original: all weights and biases normal with variance 1, as in the CNN that the paper compares itself "
      "with, whose losses begin in the millions."));
  fields.key(choice<bool>("standardise", cnn.standardise, {{"true", true}, {"false", false}},
                          "Gives the CNN each coefficient or band with mean 0 and standard deviation 1, both taken "
                          "from the training clips and kept with the weights; false: the features as they are."));
}

void describe_model(Fields& fields, Spec& spec) {
  fields.key(describe_layers(spec));
  if (fields.reading() && spec.cnn) spec.cnn->channels = 2, spec.cnn->dropout = 0.25, spec.cnn->standardise = true;
  const char *lstm = "an LSTM, not layers of conv", *cnn = "a CNN, whose layers begin with conv";
  fields.only_if(!spec.cnn, lstm, [&] { describe_lstm(fields, spec); });
  fields.only_if(spec.cnn.has_value(), cnn, [&] { describe_cnn(fields, spec); });
  fields.key(real("dropout", spec.cnn ? spec.cnn->dropout : spec.stack.dropout, {0, 1, true, false},
                  "Share that is dropped in training: of each LSTM layer's inputs; in a CNN of what each pooling and "
                  "the hidden dense layer give."));
  fields.only_if(!spec.cnn, lstm, [&] {
    fields.key(real("recurrent_dropout", spec.stack.recurrent_dropout, {0, 1, true, false},
                    "Share of each layer's fed-back outputs that is dropped in training."));
    describe_readout(fields, spec.stack);
  });
}

Optimiser keras_defaults(Optimiser::Kind kind) {
  switch (kind) {
    case Optimiser::Kind::adam:
      return {kind, 0.001, 0.9, 0.999, 1e-7};
    case Optimiser::Kind::rmsprop:
      return {kind, 0.001, 0, 0.9, 1e-7};
    case Optimiser::Kind::sgd:
      return {kind, 0.01, 0, 0, 0};
  }
  return {};
}

void describe_optimiser(Fields& fields, Optimiser& optimiser) {
  using Kind = Optimiser::Kind;
  const Range rate = {0, 1, true, false}, positive = {0, 1, false};
  fields.key(choice<Kind>("optimizer", optimiser.kind,
                          {{"adam", Kind::adam}, {"rmsprop", Kind::rmsprop}, {"sgd", Kind::sgd}},
                          "How a gradient becomes a step. The constants below have Keras's defaults for each."));
  if (fields.reading()) optimiser = keras_defaults(optimiser.kind);
  const bool adam = optimiser.kind == Kind::adam, rmsprop = optimiser.kind == Kind::rmsprop,
             sgd = optimiser.kind == Kind::sgd;
  fields.key(real("learning_rate", optimiser.learning_rate, {0, 1000, false}, "Size of a step."));
  fields.only_if(adam, "training.optimizer: adam", [&] {
    fields.key(real("beta1", optimiser.beta1, rate, "Share of the running mean of gradients that is kept at a step."));
    fields.key(
        real("beta2", optimiser.beta2, rate, "Share of the running mean of squared gradients that is kept at a step."));
  });
  fields.only_if(rmsprop, "training.optimizer: rmsprop", [&] {
    fields.key(
        real("rho", optimiser.beta2, rate, "Share of the running mean of squared gradients that is kept at a step."));
  });
  fields.only_if(sgd, "training.optimizer: sgd", [&] {
    fields.key(real("momentum", optimiser.beta1, rate, "Share of the last step that is kept in the next."));
  });
  fields.only_if(!sgd, "training.optimizer: adam or rmsprop", [&] {
    fields.key(real("epsilon", optimiser.epsilon, positive,
                    "Added to the root of the mean square, against division by zero."));
  });
  fields.key(
      real("weight_decay", optimiser.weight_decay, {0, 1000},
           "Decoupled (AdamW): each step also takes this share, times the learning rate, off all weights and biases."));
  fields.key(real("clip_norm", optimiser.clip_norm, {0, 1e6},
                  "Longest gradient, by its Euclidean norm over all weights (Keras's global_clipnorm); a longer one is "
                  "shortened to it. 0: none "
                  "is."));
}

/// [count, longest] of SpecAugment's masks; [0, 0]: none.
Field masks(const char* key, std::size_t& count, std::size_t& longest, const char* documentation) {
  return {key,
          documentation,
          "[count, longest]: 0 to 2 masks of at most 1 to 100000 each; [0, 0]: none",
          {},
          [&count, &longest](const YamlValue& yaml) -> const YamlValue* {
            std::uint64_t number = 0, length = 0;
            if (yaml.kind != YamlValue::Kind::sequence || yaml.items.size() != 2) return &yaml;
            if (!read_whole(yaml.items[0], 0, 2, number)) return &yaml.items[0];
            if (!read_whole(yaml.items[1], number > 0 ? 1 : 0, 100'000, length)) return &yaml.items[1];
            count = number, longest = number > 0 ? length : 0;
            return nullptr;
          },
          [&count, &longest] { return fmt::format("[{}, {}]", count, longest); }};
}

void describe_schedule(Fields& fields, TrainingConfig& training) {
  using Schedule = TrainingConfig::Schedule;
  fields.key(choice<Schedule>(
      "schedule", training.schedule,
      {{"constant", Schedule::constant}, {"linear", Schedule::linear}, {"cosine", Schedule::cosine}},
      "How the learning rate goes down, epoch by epoch, over the epochs of a run: not at all, in a straight line "
      "towards 0, or along half a cosine towards 0. With grid.mode: snapshots, a run is the longest one's, and what it "
      "is at shorter grid points has not gone down so far."));
  fields.key(whole("warmup", training.warmup, 0, most_epochs,
                   "Epochs at the beginning over which the learning rate goes up to its full size."));
}

void describe_selection(Fields& fields, TrainingConfig& training) {
  using Select = TrainingConfig::Select;
  fields.key(choice<Select>(
      "select", training.select, {{"last", Select::last}, {"best-validation", Select::best_validation}},
      "Which weights a run ends with, and is tested with: those after its last epoch, or after the epoch with the "
      "highest validation accuracy (of equals the one with the lowest validation loss)."));
  fields.key(
      whole("patience", training.patience, 0, most_epochs,
            "With select: best-validation, a run ends when so many epochs have brought no better one. 0: never."));
  fields.require(training.patience == 0 || training.select == Select::best_validation, "patience",
                 "patience waits for a better epoch: give select: best-validation, or 0");
}

/// What an LSTM alone can be trained with.
void describe_regularisation(Fields& fields, TrainingConfig& training) {
  Augmentation& augmentation = training.augmentation;
  fields.key(real("label_smoothing", training.label_smoothing, {0, 1, true, false},
                  "Share of each training clip's target that is spread evenly over all genres."));
  fields.key(real("mixup", augmentation.mixup, {0, 1},
                  "Mixes each training clip with another one, and their targets, with shares drawn from Beta(α, α) of "
                  "this α. 0: none."));
  fields.key(
      masks("time_masks", augmentation.time_masks, augmentation.longest_time_mask,
            "Stretches of frames of each training clip that are set to 0, anew each time (SpecAugment). 0 is the mean "
            "with features.normalize: train-set or clip_mean: remove; of plain MFCCs it is loud."));
  fields.key(masks("feature_masks", augmentation.feature_masks, augmentation.widest_feature_mask,
                   "The same of neighbouring numbers of its frames: bands of a mel spectrogram, MFCCs, or whatever "
                   "features.kind puts side by side, deltas included."));
}

void describe_training(Fields& fields, TrainingConfig& training, bool is_cnn) {
  describe_optimiser(fields, training.optimiser);
  fields.key(
      whole("batch", training.batch, 1, 100'000, "Clips of one step; the last batch of an epoch may be smaller."));
  fields.key(choice<Loss>(
      "loss", training.loss, {{"clipped", Loss::clipped}, {"logits", Loss::logits}},
      "Cross-entropy. clipped: of probabilities clipped to 1e-7, as in Keras 2 (no clip costs more than 16.118); "
      "logits: exact, as in Keras 3."));
  fields.key(choice<bool>("shuffle", training.shuffle, {{"true", true}, {"false", false}},
                          "A new order of the training clips in each epoch."));
  describe_schedule(fields, training);
  describe_selection(fields, training);
  fields.only_if(!is_cnn, "an LSTM, not layers of conv", [&] { describe_regularisation(fields, training); });
}

// --------------------------------------------------------------------------------------------------- grid and backend

/// Genres in the order of the tree's own: named by the file, or the ten of GTZAN and the built-in corpus.
void name_genres(DatasetSpec& dataset, const YamlValue& yaml) {
  const bool ten_genres = dataset.name == "built-in" || dataset.name == "gtzan";
  if (dataset.genres.empty() && ten_genres) dataset.genres = gtzan_genres();
  if (dataset.genres.empty())
    reject("{}: tree: dataset.genres must name the genres of the tree, so that a misspelt one is found",
           yaml.where_key());
}

GenreTree read_tree_of(DatasetSpec& dataset, const YamlValue& yaml) {
  name_genres(dataset, yaml);
  return read_tree(yaml, dataset.genres);
}

Field describe_tree(Spec& spec) {
  return {
      "tree",
      "A tree of classifiers in place of a single one: each node tells its children apart, which are other nodes or "
      "genres, and is trained on the clips of the genres below it for so many epochs. Every genre has one place. "
      "learn: the tree follows from what a classifier of all genres (trained first, on grid.epochs) takes for what on "
      "the validation clips; its nodes are trained for 30 epochs each, or as many as {learn: {epochs: …}} says.",
      "nodes such as music: {epochs: 35, children: [strong, jazz]}; learn, or {learn: {epochs: 30}}; {}: no tree",
      {},
      [&spec](const YamlValue& yaml) -> const YamlValue* {
        if (asks_for_learned_tree(yaml)) {
          spec.learned_tree_epochs = read_learned_tree_epochs(yaml);
          name_genres(spec.dataset, yaml);
          return nullptr;
        }
        if (yaml.kind != YamlValue::Kind::map) return &yaml;
        spec.tree = yaml.entries.empty() ? GenreTree() : read_tree_of(spec.dataset, yaml);
        return nullptr;
      },
      [&spec] {
        return spec.learned_tree_epochs ? fmt::format("{{learn: {{epochs: {}}}}}", spec.learned_tree_epochs)
                                        : write_tree(spec.tree);
      }};
}

/// A tree is learned from validation clips. Where sets are drawn anew for each trial, these are test clips of another
/// trial, whose accuracy would then profit from them.
void check_learned_tree(Fields& fields, const Spec& spec) {
  if (!fields.reading() || spec.learned_tree_epochs == 0) return;
  const SplitConfig& split = spec.dataset.split;
  fields.require(
      split.kind != SplitConfig::Kind::random, "tree",
      fmt::format(
          "learn takes the tree from validation clips, but dataset.split ({}) draws the sets anew for each "
          "trial, so that validation clips of one trial are test clips of another. Write a split with the same "
          "sets in every trial, such as {{kind: by-index, train: 65, validation: 10, test: 25}}, or kind: lists",
          split.name));
  fields.require(split.has_validation(), "tree",
                 fmt::format("learn takes the tree from validation clips, but dataset.split ({}) has none. Write one "
                             "such as {{kind: by-index, train: 65, validation: 10, test: 25}}",
                             split.name));
}

/// What must fit together across groups.
void check_options(Fields& fields, const Spec& spec) {
  if (!fields.reading()) return;
  const SplitConfig& split = spec.dataset.split;
  fields.require(split.has_validation() || spec.training.select == TrainingConfig::Select::last, "training",
                 fmt::format("select: best-validation needs validation clips, but dataset.split ({}) has none. Give it "
                             "some, or select: last",
                             split.name));
  fields.require(!spec.cnn || spec.dataset.window == 0, "dataset",
                 "window is for an LSTM; a CNN takes all of features.frames");
  fields.require(!spec.cnn || !spec.stack.standardise, "features",
                 "normalize is for an LSTM; a CNN has model.standardise");
  fields.require(spec.dataset.window <= spec.features.frames, "dataset",
                 fmt::format("window is {} frames, but features.frames is {}: give a window of at most that, or 0",
                             spec.dataset.window, spec.features.frames));
}

void describe_epochs(Fields& fields, GridSpec& grid) {
  fields.key(list<std::uint32_t>(
      "epochs", grid.epochs,
      fmt::format("a list of distinct whole numbers from 1 to {}, such as [5, 10, 20]", most_epochs),
      "The grid's points: how many epochs to train before the final evaluation.",
      [](const YamlValue& item, std::uint32_t& epochs) {
        std::uint64_t number = 0;
        const bool good = read_whole(item, 1, most_epochs, number);
        epochs = static_cast<std::uint32_t>(number);
        return good;
      },
      [](const std::uint32_t& epochs) { return fmt::format("{}", epochs); }));
  fields.require(!grid.epochs.empty(), "epochs", "the list is empty; give at least one number of epochs");
  std::sort(grid.epochs.begin(), grid.epochs.end());
  fields.key(choice<GridSpec::Mode>(
      "mode", grid.mode, {{"independent", GridSpec::Mode::independent}, {"snapshots", GridSpec::Mode::snapshots}},
      "independent: each grid point and trial is a training of its own, as in the paper; snapshots: each trial is "
      "trained once to the largest grid point and evaluated at each, for about half the work."));
}

/// Epochs of the shortest training.
std::uint32_t shortest_run(const Spec& spec) {
  if (spec.tree.empty())
    return spec.grid.mode == GridSpec::Mode::snapshots ? spec.grid.epochs.back() : spec.grid.epochs.front();
  std::uint32_t shortest = most_epochs;
  for (const auto& node : spec.tree.nodes()) shortest = std::min(shortest, node.epochs);
  return shortest;
}

void describe_grid(Fields& fields, Spec& spec) {
  fields.only_if(spec.tree.empty(), "an experiment without a tree, whose nodes have epochs of their own",
                 [&] { describe_epochs(fields, spec.grid); });
  const std::uint32_t shortest = shortest_run(spec);
  fields.require(
      spec.training.warmup == 0 || spec.training.warmup < shortest, "",
      fmt::format("training.warmup takes {}, but the shortest run has {}: it would never reach its learning rate. "
                  "Give fewer, or 0",
                  count_of(spec.training.warmup, "epoch"), shortest));
  fields.key(whole("trials", spec.grid.trials, 1, 10'000,
                   "Trainings of each grid point or of the whole tree, each with random numbers of its own."));
}

void describe_backend(Fields& fields, BackendConfig& backend, bool is_cnn) {
  const auto word = [&](const char* key, std::string& value, const std::vector<std::string>& words,
                        const char* documentation) {
    std::vector<std::pair<std::string, std::string>> choices;
    for (const std::string& name : words) choices.emplace_back(name, name);
    fields.key(choice(key, value, choices, documentation));
  };
  word(
      "device", backend.device, {"auto", "cpu", "cuda"},
      "What computes. auto: cuda (an NVIDIA GPU), if the program was built with it, there is one, and it can do all "
      "that the experiment asks for; else cpu. What auto chose stands in the run's header, the ledger and the report.");
  const auto is_lstm = [](const std::string& name) {
    return name == "auto" || name == "interleaved" || name == "fused" || name == "cudnn" || name.starts_with("cudnn:");
  };
  Field lstm =
      text("lstm", backend.lstm, "auto | interleaved | fused | cudnn | cudnn:ALGORITHM, such as cudnn:standard",
           "Algorithm of the LSTM. interleaved: all layers of a time step in turn (cpu); fused: kernels of our own "
           "for many runs at once (cuda; layers of 16, 32 … 256 units); cudnn: NVIDIA's library (cuda), whose "
           "algorithms are tried at the start, and the fastest is taken; auto on cuda: fused if it can, else cudnn; "
           "cudnn:ALGORITHM: this one, for the same last bits in shards that begin on different machines. A "
           "resumed run keeps to the one that it was begun with.",
           is_lstm);
  lstm.choices = {"auto", "interleaved", "fused", "cudnn"};
  fields.key(lstm);
  word(
      "precision", backend.precision, {"fp32", "bf16", "tf32"},
      "fp32: single precision throughout; bf16: the LSTM multiplies numbers of 8 significant bits and keeps what "
      "its backward pass needs in 16 bits, half the memory; all else is in fp32 (emulated, and slower than fp32, where "
      "a processor has no instructions for it); tf32 (cuda, cudnn): the LSTM multiplies numbers of 11 significant "
      "bits; all "
      "else is in fp32.");
  fields.key(
      text("target", backend.target,
           "auto, or an instruction set such as avx2, avx3, neon, avx3+amx_bf16, or the GPU's, such as sm_90",
           "Vector instructions of the cpu; pin it for the same last bits on different processors. A GPU has only "
           "its own."));
  fields.require(!is_cnn || backend.precision == "fp32", "precision", "a CNN is computed in fp32 only");
  fields.require(
      !is_cnn || backend.target == "auto", "target",
      "a CNN is computed by oneDNN, which chooses its instructions itself; leave auto, and set the environment "
      "variable ONEDNN_MAX_CPU_ISA (AVX2, AVX512_CORE, …) to limit them");
}

void describe(Fields& fields, Spec& spec) {
  const auto name_character = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-' || c == '.'; };
  const auto good_name = [&](const std::string& name) {
    return !name.empty() && name[0] != '.' && std::all_of(name.begin(), name.end(), name_character);
  };
  fields.key(text("experiment", spec.experiment, "a name of letters, digits, '_', '-' and '.'",
                  "Its name, and that of its folder under runs/; the file's own name if it is left out.", good_name));
  fields.require(good_name(spec.experiment), "experiment",
                 "the file's name cannot name the experiment; give a name of letters, digits, '_', '-' and '.'");
  fields.key(whole(
      "seed", spec.seed, 0, std::numeric_limits<std::uint64_t>::max(),
      "All random numbers follow from it: splits, initial weights, order of clips, dropout, windows, mixup, masks, a "
      "search's candidates."));
  fields.group("dataset", "What is learnt from.", [&] { describe_dataset(fields, spec.dataset); });
  fields.group("features", "What the classifier hears of each clip.", [&] { describe_features(fields, spec); });
  fields.group("model", "The classifier.", [&] { describe_model(fields, spec); });
  fields.group("training", "How it is trained.",
               [&] { describe_training(fields, spec.training, spec.cnn.has_value()); });
  fields.key(describe_tree(spec));
  check_learned_tree(fields, spec);
  check_options(fields, spec);
  fields.group("grid", "What is repeated.", [&] { describe_grid(fields, spec); });
  fields.group("backend", "What computes it. Every choice but auto is kept to or refused, never replaced.",
               [&] { describe_backend(fields, spec.backend, spec.cnn.has_value()); });
}

std::vector<FieldRow> rows_of(Spec spec) {
  return collect_fields([&](Fields& fields) { describe(fields, spec); });
}

/// The spec with nothing given but what other defaults depend on.
Spec defaults_beside(const Spec& spec) {
  YamlValue document;
  for (const FieldRow& row : rows_of(spec))
    for (const char* key : {"dataset.name", "dataset.path", "model.preset", "training.optimizer"})
      if (row.path == key && row.value != "\"\"") set_yaml_path(document, fmt::format("{}={}", row.path, row.value));
  if (spec.cnn) set_yaml_path(document, fmt::format("model.layers={}", write_layers(spec)));
  document.source = fmt::format("{}.yaml", spec.experiment);
  return parse_spec(document);
}

/// `dataset: built-in` is `dataset: {name: built-in}`.
void expand_shorthand(YamlValue& document) {
  for (auto& [key, value] : document.entries) {
    if (key != "dataset" || value.kind != YamlValue::Kind::scalar) continue;
    YamlValue group = value;
    group.kind = YamlValue::Kind::map;
    group.entries = {{"name", value}};
    value = std::move(group);
  }
}

/// --dataset; see load_spec.
void use_dataset(YamlValue& document, const std::string& argument) {
  expand_shorthand(document);
  const YamlValue *group = document.find("dataset"), *name = group ? group->find("name") : nullptr;
  std::filesystem::path path;
  if (argument == "built-in" || argument == "gtzan") {
    set_yaml_path(document, fmt::format("dataset.name={}", argument));
  } else {
    path = std::filesystem::absolute(argument).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();  // "music/"
    if (name && name->text == "built-in")
      set_yaml_path(document, fmt::format("dataset.name={}", yaml_text(path.stem())));
  }
  set_yaml_path(document, fmt::format("dataset.path={}", yaml_text(path)));
  const std::vector<std::string> files_only = {"path"}, corpus_only = {"clips_per_genre", "seconds", "corpus_seed"};
  const std::vector<std::string>& foreign = argument == "built-in" ? files_only : corpus_only;
  for (auto& [key, value] : document.entries)
    if (key == "dataset")
      std::erase_if(value.entries, [&](const auto& entry) { return std::ranges::count(foreign, entry.first) > 0; });
}

/// FNV-1a, 64 bits.
std::uint64_t fnv1a(const std::string& text) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return hash;
}

}  // namespace

Spec parse_spec(const YamlValue& given) {
  YamlValue document = given;
  expand_shorthand(document);
  Spec spec;
  spec.experiment = std::filesystem::path(document.source).stem().string();
  spec.stack.units = {128, 32};
  read_fields(document, [&](Fields& fields) { describe(fields, spec); });
  spec.stack.inputs = spec.features.width();
  if (spec.cnn) {
    spec.cnn->bands = spec.features.width();
    spec.cnn->frames = spec.features.frames - spec.cnn->channels + 1;
  }
  return spec;
}

bool change_key(YamlValue& document, const std::string& key, const YamlValue& value) {
  expand_shorthand(document);
  return value.kind == YamlValue::Kind::null ? erase_yaml_value(document, key) : set_yaml_value(document, key, value);
}

Spec load_spec(const std::filesystem::path& path, const std::vector<std::string>& assignments,
               const std::string& dataset) {
  return parse_spec(changed_document(parse_yaml_file(path), assignments, dataset));
}

YamlValue changed_document(YamlValue document, const std::vector<std::string>& assignments,
                           const std::string& dataset) {
  const std::string source = document.source;
  if (!dataset.empty()) use_dataset(document, dataset);
  for (const std::string& assignment : assignments) {
    expand_shorthand(document);
    set_yaml_path(document, assignment);
  }
  document.source = source;
  return document;
}

std::string to_yaml(const Spec& spec, bool documented) {
  if (!documented) return plain_yaml(rows_of(spec));
  return "# A key without a line \"default\" has its default value.\n" +
         documented_yaml(rows_of(spec), rows_of(defaults_beside(spec)));
}

namespace {

/// Keys that came later. Where such a key has its default, all is as it was without it, and so is the hash.
constexpr std::string_view later_keys[] = {
    "dataset.window",        "features.clip_mean",       "features.deltas",     "features.normalize",
    "model.readout",         "model.bidirectional",      "model.layer_dropout", "training.weight_decay",
    "training.clip_norm",    "training.schedule",        "training.warmup",     "training.select",
    "training.patience",     "training.label_smoothing", "training.mixup",      "training.time_masks",
    "training.feature_masks"};

bool is_later_default(const FieldRow& row, const std::vector<FieldRow>& defaults) {
  const auto is_same = [&](const FieldRow& usual) { return usual.path == row.path && usual.value == row.value; };
  return std::ranges::count(later_keys, row.path) > 0 && std::ranges::any_of(defaults, is_same);
}

}  // namespace

std::string spec_hash(const Spec& given) {
  Spec spec = given;
  spec.dataset.split.artists.clear();  // a list of artists only warns
  const std::vector<FieldRow> defaults = rows_of(Spec{});
  std::string canonical;
  for (const FieldRow& row : rows_of(spec)) {
    const auto starts_with = [&](const char* prefix) { return row.path.rfind(prefix, 0) == 0; };
    const bool of_no_matter = row.path == "experiment" || row.path == "dataset.name" || row.path == "dataset.path" ||
                              row.path == "dataset.split.artists" || row.path == "model.preset" ||
                              row.path == "grid.epochs" || row.path == "grid.trials" || starts_with("backend.") ||
                              (row.path == "tree" && spec.tree.empty()) || is_later_default(row, defaults);
    const bool is_list_file = spec.dataset.split.kind == SplitConfig::Kind::lists && starts_with("dataset.split.") &&
                              row.path != "dataset.split.kind";
    if (!of_no_matter && !row.is_group && !is_list_file) canonical += fmt::format("{}={}\n", row.path, row.value);
  }
  if (spec.dataset.split.kind == SplitConfig::Kind::lists)
    for (const auto& list :
         {spec.dataset.split.train_list, spec.dataset.split.validation_list, spec.dataset.split.test_list})
      canonical += list.empty() ? "none\n" : read_text(list).append("\n");
  if (spec.grid.mode == GridSpec::Mode::snapshots) canonical += fmt::format("largest={}\n", spec.grid.epochs.back());
  return fmt::format("{:016x}", fnv1a(canonical));
}

}  // namespace genretree
