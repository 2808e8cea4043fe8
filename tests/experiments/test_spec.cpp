// An experiment file: what is read, what is refused and how the refusal points at the place, what is written back, and
// which changes make it another experiment.
#include "core/error.hpp"
#include "core/io/files.hpp"
#include "experiments/fields.hpp"
#include "experiments/spec.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace {

namespace fs = std::filesystem;

Spec spec_of(const std::string& text) { return parse_spec(parse_yaml(text, "sweep.yaml")); }

std::string error_of(const std::string& text) {
  return test::error_of([&] { spec_of(text); });
}

fs::path experiments_folder() { return fs::path(GENRETREE_SOURCE) / "experiments"; }

const char* const every_kind_of_key = R"(
experiment: all-keys.2
seed: 18446744073709551615
dataset:
  name: my music
  path: /data/my "own" music
  genres: ["rhythm & blues", "null", "5", "a: b # c", Grün, "tab\there"]
  split: {kind: random, train: 0.6, validation: 0.15, test: 0.25}
features:
  {coefficients: [0, 20], frames: 128, pad: zero, compat: librosa-0.6, sample_rate: 16000, n_fft: 1024, hop: 256,
   mels: 64}
model:
  {preset: keras2018, layers: [{lstm: 7}, {dense: softmax}], gate: hard_sigmoid_keras3, dropout: 0.125,
   recurrent_dropout: 0}
training: {optimizer: rmsprop, learning_rate: 3e-4, rho: 0.95, epsilon: 1e-8, batch: 1, loss: logits, shuffle: false}
grid: {epochs: [30, 1, 7], trials: 9, mode: snapshots}
backend: {device: cpu, lstm: interleaved, precision: fp32, target: avx2}
)";

const char* const every_option = R"(
dataset: {window: 256}
features: {clip_mean: remove, deltas: 2, normalize: train-set}
model: {readout: mean_max, bidirectional: true, layer_dropout: 0.4}
training:
  {weight_decay: 1e-4, clip_norm: 2.5, schedule: cosine, warmup: 3, select: best-validation, patience: 9,
   label_smoothing: 0.1, mixup: 0.2, time_masks: [2, 30], feature_masks: [1, 5]}
)";

TEST_CASE("an empty file is the paper's experiment on GTZAN", "[spec]") {
  const Spec spec = spec_of("");
  CHECK(spec.experiment == "sweep");
  CHECK(spec.dataset.name == "gtzan");
  CHECK(spec.dataset.genres.empty());
  CHECK(spec.dataset.split.kind == SplitConfig::Kind::by_index);
  CHECK(spec.dataset.split.train == 70);
  CHECK(spec.dataset.split.name == "paper-420-120-60");
  CHECK(spec.features == FeatureConfig{});
  CHECK(spec.stack.inputs == 13);
  CHECK(spec.stack.units == std::vector<std::size_t>{128, 32});
  CHECK(spec.grid.epochs == std::vector<std::uint32_t>{5, 10, 20, 50, 100, 200, 400});
  CHECK(spec.grid.trials == 4);
}

TEST_CASE("every kind of key arrives where it belongs", "[spec]") {
  const Spec spec = spec_of(every_kind_of_key);
  CHECK(spec.experiment == "all-keys.2");
  CHECK(spec.seed == 18446744073709551615ull);
  CHECK(spec.dataset.path == "/data/my \"own\" music");
  CHECK(spec.dataset.genres ==
        std::vector<std::string>{"rhythm & blues", "null", "5", "a: b # c", "Grün", "tab\there"});
  CHECK(spec.dataset.split.kind == SplitConfig::Kind::random);
  CHECK(spec.dataset.split.fractions);
  CHECK(spec.dataset.split.validation == 0.15);
  CHECK(spec.features.coefficients == 20);
  CHECK(spec.features.compat == Compat::librosa_0_6);
  CHECK(spec.stack.inputs == 20);
  CHECK(spec.stack.units == std::vector<std::size_t>{7});
  CHECK(spec.stack.gate == Gate::hard_sigmoid_keras3);
  CHECK(spec.stack.dropout == 0.125);
  CHECK(spec.stack.recurrent_dropout == 0);
  CHECK(spec.training.optimiser.kind == Optimiser::Kind::rmsprop);
  CHECK(spec.training.optimiser.learning_rate == 3e-4);
  CHECK(spec.training.optimiser.beta2 == 0.95);
  CHECK(spec.training.batch == 1);
  CHECK(spec.training.loss == Loss::logits);
  CHECK_FALSE(spec.training.shuffle);
  CHECK(spec.grid.epochs == std::vector<std::uint32_t>{1, 7, 30});  // sorted
  CHECK(spec.grid.mode == GridSpec::Mode::snapshots);
  CHECK(spec.backend.target == "avx2");
  const BackendConfig gpu = spec_of("backend: {device: cuda, lstm: cudnn:standard, precision: tf32}").backend;
  CHECK((gpu.device == "cuda" && gpu.lstm == "cudnn:standard" && gpu.precision == "tf32"));
}

TEST_CASE("every option of a strong classifier arrives where it belongs, and is off by default", "[spec]") {
  const Spec spec = spec_of(every_option), plain = spec_of("");
  CHECK(spec.dataset.window == 256);
  CHECK(spec.features.clip_mean == ClipMean::remove);
  CHECK(spec.features.deltas == 2);
  CHECK(spec.stack.inputs == 39);
  CHECK(spec.stack.standardise);
  CHECK(spec.stack.readout == Readout::mean_max);
  CHECK(spec.stack.bidirectional);
  CHECK(spec.stack.layer_dropout == 0.4);
  CHECK(spec.training.optimiser.weight_decay == 1e-4);
  CHECK(spec.training.optimiser.clip_norm == 2.5);
  CHECK(spec.training.schedule == TrainingConfig::Schedule::cosine);
  CHECK(spec.training.warmup == 3);
  CHECK(spec.training.select == TrainingConfig::Select::best_validation);
  CHECK(spec.training.patience == 9);
  CHECK(spec.training.label_smoothing == 0.1);
  const Augmentation& augmentation = spec.training.augmentation;
  CHECK(augmentation.mixup == 0.2);
  CHECK((augmentation.time_masks == 2 && augmentation.longest_time_mask == 30));
  CHECK((augmentation.feature_masks == 1 && augmentation.widest_feature_mask == 5));

  CHECK(plain.dataset.window == 0);
  CHECK(plain.stack.dense_inputs() == 32);
  CHECK(plain.stack.constants() == 0);
  CHECK_FALSE(plain.stack.has_any_dropout());
  CHECK(rate_factor(plain.training, 399, 400) == 1);
  CHECK(plain.training.select == TrainingConfig::Select::last);
  CHECK(plain.training.augmentation.mixup == 0);
  CHECK(plain.training.augmentation.time_masks == 0);
  CHECK(spec_of("training: {time_masks: [0, 7]}").training.augmentation.longest_time_mask == 0);
}

TEST_CASE("what is written reads back to the same experiment, with and without documentation", "[spec]") {
  const std::string inputs[] = {"",
                                every_kind_of_key,
                                every_option,
                                "model: {readout: max}\ntraining: {schedule: linear, feature_masks: [2, 1]}",
                                "dataset: built-in",
                                "training: {optimizer: sgd, momentum: 0.9}",
                                "dataset: {split: {kind: lists, train: a.txt, test: sub/b.txt}}",
                                "dataset: {split: {kind: by-index, train: 0, validation: 3, test: 2}}",
                                "dataset: {name: built-in, seconds: 2.5, corpus_seed: 7, split: random-420-120-60}"};
  for (const std::string& input : inputs) {
    const Spec spec = spec_of(input);
    for (const bool documented : {false, true}) {
      INFO(to_yaml(spec, documented));
      const Spec again = spec_of(to_yaml(spec, documented));
      CHECK(to_yaml(again, false) == to_yaml(spec, false));
      CHECK(again.experiment == spec.experiment);
      CHECK(again.dataset.split.name == spec.dataset.split.name);
    }
  }
}

TEST_CASE("the documented form says what each key is for, what is allowed, and the default where it is another",
          "[spec]") {
  const std::string text = to_yaml(spec_of("training: {batch: 20}"), true);
  CHECK_THAT(text, Catch::Contains("  # Clips of one step; the last batch of an epoch may be smaller.\n"
                                   "  # allowed: a whole number from 1 to 100000\n"
                                   "  # default: 35\n"
                                   "  batch: 20\n"));
  for (const std::string& key : feature_keys()) CHECK_THAT(text, Catch::Contains("\n  " + key + ": "));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.find('#') != std::string::npos) CHECK(line.size() <= 104);  // a few letters take two bytes
}

TEST_CASE("presets set the gates and the dropouts, and what is given goes before them", "[spec]") {
  const Spec paper = spec_of("model: {preset: paper}"), keras = spec_of("model: {preset: keras2018}");
  CHECK(paper.stack.gate == Gate::sigmoid);
  CHECK_FALSE(paper.stack.has_dropout());
  CHECK(keras.stack.gate == Gate::hard_sigmoid);
  CHECK(keras.stack.dropout == 0.05);
  CHECK(keras.stack.recurrent_dropout == 0.35);
  const Spec mixed = spec_of("model: {dropout: 0.5, preset: keras2018}");  // the order in the file does not matter
  CHECK(mixed.stack.dropout == 0.5);
  CHECK(mixed.stack.recurrent_dropout == 0.35);
}

TEST_CASE("each optimiser has Keras's defaults", "[spec]") {
  const auto optimiser = [](const std::string& name) {
    return spec_of("training: {optimizer: " + name + "}").training.optimiser;
  };
  const Optimiser adam = optimiser("adam"), rmsprop = optimiser("rmsprop"), sgd = optimiser("sgd");
  CHECK((adam.learning_rate == 0.001 && adam.beta1 == 0.9 && adam.beta2 == 0.999 && adam.epsilon == 1e-7));
  CHECK((rmsprop.learning_rate == 0.001 && rmsprop.beta2 == 0.9 && rmsprop.epsilon == 1e-7));
  CHECK((sgd.learning_rate == 0.01 && sgd.beta1 == 0));
}

TEST_CASE("errors name file, line and column, the key's path, the value, what is allowed, and a near word", "[spec]") {
  struct Case {
    const char *text, *message;
  };
  const Case cases[] = {
      // unknown keys: at the key
      {"experiment: x\ntraining:\n  batch: 3\n  lerning_rate: 2\n",
       "sweep.yaml:4:3: unknown key 'training.lerning_rate' (did you mean 'learning_rate'?); known here: optimizer, "
       "learning_rate, beta1, beta2, epsilon, weight_decay, clip_norm, batch, loss, shuffle, schedule, warmup, select, "
       "patience, label_smoothing, mixup, time_masks, feature_masks"},
      {"grid: {trials: 2}\ntrials: 3\n",
       "sweep.yaml:2:1: unknown key 'trials'; known here: experiment, seed, dataset, features, model, training, tree, "
       "grid, backend"},
      {"features: {fames: 3}",
       "sweep.yaml:1:12: unknown key 'features.fames' (did you mean 'frames'?); known here: "
       "kind, coefficients, frames, pad, compat, sample_rate, n_fft, hop, mels, clip_mean, deltas, normalize"},
      {"features: {kind: mel, coefficients: [0, 13]}",
       "sweep.yaml:1:23: features.coefficients is only for features.kind: mfcc; remove it"},
      // wrong words, numbers and types: at the value
      {"training:\n  optimizer: adm",
       "sweep.yaml:2:14: training.optimizer cannot be 'adm': allowed is adam | rmsprop | sgd (did you mean 'adam'?)"},
      {"training: {batch: -3}",
       "sweep.yaml:1:19: training.batch cannot be '-3': allowed is a whole number from 1 to 100000"},
      {"training: {batch: 3.5}",
       "sweep.yaml:1:19: training.batch cannot be '3.5': allowed is a whole number from 1 to 100000"},
      {"training: {batch: [3]}",
       "sweep.yaml:1:19: training.batch cannot be a list: allowed is a whole number from 1 to 100000"},
      {"training:\n  batch:",
       "sweep.yaml:2:3: training.batch cannot be nothing: allowed is a whole number from 1 to 100000"},
      {"training: {learning_rate: 0}",
       "sweep.yaml:1:27: training.learning_rate cannot be '0': allowed is a number above 0 and at most 1000"},
      {"training: {learning_rate: nan}",
       "sweep.yaml:1:27: training.learning_rate cannot be 'nan': allowed is a number above 0 and at most 1000"},
      {"model: {dropout: 1}",
       "sweep.yaml:1:18: model.dropout cannot be '1': allowed is a number at least 0 and below 1"},
      {"training: 3", "sweep.yaml:1:11: training cannot be '3': allowed is a group of keys (key: value)"},
      {"[1]", "sweep.yaml:1:1: the experiment cannot be a list: allowed is a group of keys (key: value)"},
      {"experiment: ../x",
       "sweep.yaml:1:13: experiment cannot be '../x': allowed is a name of letters, digits, '_', '-' and '.'"},
      {"backend: {lstm: cudn}",
       "sweep.yaml:1:17: backend.lstm cannot be 'cudn': allowed is auto | interleaved | fused | cudnn | "
       "cudnn:ALGORITHM, such "
       "as "
       "cudnn:standard (did you mean 'cudnn'?)"},
      {"backend: {precision: fp16}",
       "sweep.yaml:1:22: backend.precision cannot be 'fp16': allowed is fp32 | bf16 | tf32"},
      // lists: at the item
      {"grid:\n  epochs: [5, -5]",
       "sweep.yaml:2:15: grid.epochs cannot hold '-5': allowed is a list of distinct whole "
       "numbers from 1 to 1000000, such as [5, 10, 20]"},
      {"grid:\n  epochs:\n    - 5\n    - 5",
       "sweep.yaml:4:7: grid.epochs cannot hold '5': allowed is a list of distinct "
       "whole numbers from 1 to 1000000, such as [5, 10, 20]"},
      {"grid: {epochs: []}", "sweep.yaml:1:16: grid.epochs: the list is empty; give at least one number of epochs"},
      {"dataset: {genres: [jazz, rok]}",
       "sweep.yaml:1:26: dataset.genres cannot hold 'rok': allowed is a list of distinct genres of blues, classical, "
       "country, disco, hiphop, jazz, metal, pop, reggae, rock (did you mean 'rock'?)"},
      {"dataset: {genres: [jazz]}",
       "sweep.yaml:1:19: dataset.genres: a single genre cannot be told from anything; name "
       "two or more, or none for all"},
      {"model:\n  layers: [{lstm: 128}, {dense: relu}]",
       "sweep.yaml:2:33: model.layers cannot hold 'relu': allowed is a list such as [{lstm: 128}, {lstm: 32}, {dense: "
       "softmax}]: one to eight lstm layers of 1 to 4096 units, then dense: softmax; or such as [{conv: "
       "32, pool: 4}, {conv: 16, pool: 2}, {dense: 256}, {dense: softmax}]: one to seven conv layers of 1 to 4096 "
       "filters with a pool of 1 to 64, a dense layer of 1 to 65536 units, then dense: softmax"},
      {"model: {layers: [{lstm: 0}, {dense: softmax}]}",
       "sweep.yaml:1:25: model.layers cannot hold '0': allowed is a list such as [{lstm: 128}, {lstm: 32}, {dense: "
       "softmax}]: one to eight lstm layers of 1 to 4096 units, then dense: softmax; or such as [{conv: "
       "32, pool: 4}, {conv: 16, pool: 2}, {dense: 256}, {dense: softmax}]: one to seven conv layers of 1 to 4096 "
       "filters with a pool of 1 to 64, a dense layer of 1 to 65536 units, then dense: softmax"},
      // keys that exist only beside others
      {"training: {momentum: 0.5}",
       "sweep.yaml:1:12: training.momentum is only for training.optimizer: sgd; remove it"},
      {"dataset:\n  seconds: 3", "sweep.yaml:2:3: dataset.seconds is only for dataset.name: built-in; remove it"},
      {"dataset: {name: built-in, path: x}",
       "sweep.yaml:1:27: dataset.path is only for data from files, not dataset.name: built-in; remove it"},
      {"dataset: gtzn",
       "sweep.yaml:1:10: dataset.name: 'gtzn' is neither gtzan nor built-in, so dataset.path must say "
       "where its audio files are (did you mean 'gtzan'?)"},
      // splits
      {"dataset: {split: paper}",
       "sweep.yaml:1:18: dataset.split cannot be 'paper': allowed is paper-420-120-60 | "
       "random-420-120-60 | a group {kind: by-index | random | lists, train: …, validation: "
       "…, test: …}"},
      {"dataset:\n  split: {kind: random, train: 0.6, validation: 20, test: 0.2}",
       "sweep.yaml:2:49: dataset.split.validation: 20 cannot stand beside the split's other values: give whole numbers "
       "of tracks in all three, or fractions below 1 in all three (0: none)"},
      {"dataset: {split: {kind: random, train: 0.6, validation: 0.3, test: 0.2}}",
       "sweep.yaml:1:40: dataset.split.train: the fractions add up to 1.1, more than 1"},
      {"dataset: {split: {train: 0.6, validation: 0.2, test: 0.2}}",
       "sweep.yaml:1:18: dataset.split.kind: by-index counts tracks: give whole numbers, or kind: random"},
      {"dataset: {split: {train: 70}}",
       "sweep.yaml:1:18: dataset.split.test: without test tracks there is nothing to report; give a count or a "
       "fraction"},
      {"dataset: {split: {kind: lists, train: a}}",
       "sweep.yaml:1:18: dataset.split.test: kind: lists needs a file of test tracks"},
      // options of a strong classifier
      {"training:\n  schedule: cosin",
       "sweep.yaml:2:13: training.schedule cannot be 'cosin': allowed is constant | linear | cosine (did you mean "
       "'cosine'?)"},
      {"model: {readout: median}",
       "sweep.yaml:1:18: model.readout cannot be 'median': allowed is last | mean | max | mean_max (did you mean "
       "'mean'?)"},
      {"model: {bidirectional: yes}", "sweep.yaml:1:24: model.bidirectional cannot be 'yes': allowed is true | false"},
      {"training: {label_smoothing: 1}",
       "sweep.yaml:1:29: training.label_smoothing cannot be '1': allowed is a number at least 0 and below 1"},
      {"training: {mixup: 1.5}",
       "sweep.yaml:1:19: training.mixup cannot be '1.5': allowed is a number at least 0 and at most 1"},
      {"training:\n  time_masks: [3, 10]",
       "sweep.yaml:2:16: training.time_masks cannot hold '3': allowed is [count, longest]: 0 to 2 masks of at most 1 "
       "to 100000 each; [0, 0]: none"},
      {"training:\n  feature_masks: [1, 0]",
       "sweep.yaml:2:22: training.feature_masks cannot hold '0': allowed is [count, longest]: 0 to 2 masks of at most "
       "1 to 100000 each; [0, 0]: none"},
      {"training: {time_masks: 2}",
       "sweep.yaml:1:24: training.time_masks cannot be '2': allowed is [count, longest]: 0 to 2 masks of at most 1 to "
       "100000 each; [0, 0]: none"},
      {"features: {normalize: yes}",
       "sweep.yaml:1:23: features.normalize cannot be 'yes': allowed is none | train-set"},
      {"training: {patience: 5}",
       "sweep.yaml:1:22: training.patience: patience waits for a better epoch: give select: best-validation, or 0"},
      {"features: {frames: 100}\ndataset: {window: 101}",
       "sweep.yaml:2:10: dataset: window is 101 frames, but features.frames is 100: give a window of at most that, or "
       "0"},
      {"dataset: {split: {train: 5, test: 2}}\ntraining:\n  select: best-validation",
       "sweep.yaml:3:3: training: select: best-validation needs validation clips, but dataset.split (by-index 5 / 0 / "
       "2 "
       "of each genre) has none. Give it some, or select: last"},
      {"model: {layers: [{conv: 3, pool: 2}, {dense: 5}, {dense: softmax}]}\nfeatures: {kind: log-mel, normalize: "
       "train-set}",
       "sweep.yaml:2:11: features: normalize is for an LSTM; a CNN has model.standardise"},
      {"model: {layers: [{conv: 3, pool: 2}, {dense: 5}, {dense: softmax}]}\nfeatures: {kind: log-mel}\ndataset: "
       "{window: 5}",
       "sweep.yaml:3:10: dataset: window is for an LSTM; a CNN takes all of features.frames"},
      {"model: {layers: [{conv: 3, pool: 2}, {dense: 5}, {dense: softmax}]}\nfeatures: {kind: log-mel}\ntraining: "
       "{mixup: 0.5}",
       "sweep.yaml:3:12: training.mixup is only for an LSTM, not layers of conv; remove it"},
      // features, which are checked in their own folder
      {"features:\n  hop: x", "sweep.yaml:2:8: features.hop is 'x', but must be a whole number from 1 to 65536"},
      {"features: {n_fft: 1000}", "sweep.yaml:1:11: features: n_fft is 1000, but must be a power of two, such as 2048"},
  };
  for (const Case& c : cases) {
    INFO(c.text);
    CHECK(error_of(c.text) == c.message);
  }
}

TEST_CASE("--set goes before the file, and its errors name it", "[spec]") {
  const test::TemporaryFolder folder;
  write_whole_text(folder / "sweep.yaml", "dataset: built-in\ntraining: {batch: 10, learning_rate: 0.5}\n");
  const Spec spec = load_spec(folder / "sweep.yaml", {"training.batch=20", "grid.epochs=[3, 2]", "dataset.seconds=4",
                                                      "model.preset=keras2018"});
  CHECK(spec.experiment == "sweep");
  CHECK(spec.training.batch == 20);
  CHECK(spec.training.optimiser.learning_rate == 0.5);
  CHECK(spec.grid.epochs == std::vector<std::uint32_t>{2, 3});
  CHECK(spec.dataset.name == "built-in");  // dataset.seconds goes into the group that `dataset: built-in` is short for
  CHECK(spec.dataset.corpus.seconds == 4);
  CHECK(spec.stack.gate == Gate::hard_sigmoid);

  const auto error = [&](const std::string& assignment) {
    try {
      load_spec(folder / "sweep.yaml", {assignment});
    } catch (const InputError& caught) {
      return std::string(caught.what());
    }
    return std::string("no error");
  };
  CHECK(error("training.batch=0") ==
        "--set training.batch: training.batch cannot be '0': allowed is a whole number from 1 to 100000");
  CHECK_THAT(error("trainng.batch=5"),
             Catch::StartsWith("--set trainng.batch: unknown key 'trainng' (did you mean 'training'?)"));
  CHECK_THAT(error("training.batch=\"5\""), Catch::Contains("training.batch cannot be"));
}

TEST_CASE("--dataset takes the place of the file's name and path, and --set is judged with it", "[spec]") {
  const test::TemporaryFolder folder;
  write_whole_text(folder / "synthetic.yaml", "dataset: {name: built-in, seconds: 4, clips_per_genre: 30}\n");
  write_whole_text(folder / "short.yaml", "dataset: built-in\n");
  write_whole_text(folder / "files.yaml", "dataset: {path: old, genres: [jazz, rock]}\n");
  write_whole_text(folder / "bare.yaml", "seed: 1\n");
  const auto dataset = [&](const std::string& file, const std::string& argument,
                           const std::vector<std::string>& assignments = {}) {
    return load_spec(folder / file, assignments, argument).dataset;
  };
  for (const char* file : {"synthetic.yaml", "short.yaml", "files.yaml", "bare.yaml"}) {
    INFO(file);
    CHECK(dataset(file, "built-in").name == "built-in");
    CHECK(dataset(file, "built-in").path.empty());
    CHECK(dataset(file, "gtzan").name == "gtzan");
    CHECK(dataset(file, "gtzan").path.empty());
    CHECK(dataset(file, "songs/rare/").path == fs::absolute("songs/rare"));
    CHECK(dataset(file, "/data/a b: c").path == "/data/a b: c");
    // what only synthetic music has may be set if --dataset names it, and may not if it names another
    CHECK(dataset(file, "built-in", {"dataset.clips_per_genre=5"}).corpus.clips_per_genre == 5);
    CHECK_THROWS_WITH(dataset(file, "songs", {"dataset.clips_per_genre=5"}),
                      Catch::Contains("--set dataset.clips_per_genre"));
    CHECK_THROWS_WITH(dataset(file, "built-in", {"dataset.path=songs"}), Catch::Contains("--set dataset.path"));
  }
  CHECK(dataset("synthetic.yaml", "built-in").corpus.seconds == 4);
  CHECK(dataset("synthetic.yaml", "songs/rare").name == "rare");
  CHECK(dataset("files.yaml", "songs/rare").name == "gtzan");
  CHECK(dataset("files.yaml", "songs/rare").genres == std::vector<std::string>{"jazz", "rock"});
  CHECK(dataset("files.yaml", "songs", {"dataset.name=mine", "dataset.genres=[a, b]"}).name == "mine");
}

TEST_CASE("paths in a file start at its folder, paths of --set at the current one", "[spec]") {
  const test::TemporaryFolder folder;
  write_whole_text(folder / "own.yaml",
                   "dataset: {name: own, path: ../music, split: {kind: lists, train: t.txt, test: lists/e.txt}}\n");
  const Spec spec = load_spec(folder / "own.yaml", {});
  CHECK(spec.dataset.path == folder.path().parent_path() / "music");
  CHECK(spec.dataset.split.train_list == folder / "t.txt");
  CHECK(spec.dataset.split.validation_list.empty());
  CHECK(spec.dataset.split.test_list == folder.path() / "lists" / "e.txt");
  CHECK(load_spec(folder / "own.yaml", {"dataset.path=here"}).dataset.path == fs::current_path() / "here");
}

TEST_CASE("the paper's two splits have their names however they are written; others say what they are", "[spec]") {
  const auto name = [](const std::string& split) {
    return spec_of("dataset: {split: " + split + "}").dataset.split.name;
  };
  CHECK(name("{kind: by-index, train: 70, validation: 20, test: 10}") == "paper-420-120-60");
  CHECK(name("{kind: random, train: 70, validation: 20, test: 10}") == "random-420-120-60");
  CHECK(name("{kind: random, validation: 0.25, test: 0.125}") == "random rest / 25 % / 12.5 % of each genre");
  CHECK(name("{train: 5, test: 2}") == "by-index 5 / 0 / 2 of each genre");
  CHECK(name("{kind: lists, train: a/t.txt, test: e.txt}") == "lists t.txt, e.txt");
}

TEST_CASE("the hash is the same on every machine", "[spec]") {
  // golden: changes only when the meaning of an experiment does, which makes finished runs unusable
  CHECK(spec_hash(spec_of("")) == "6454689f1efdb38d");
  CHECK(spec_hash(spec_of(every_kind_of_key)) == "fd2995efbb0e8b55");
}

TEST_CASE("the hash changes with all that changes a result, and with nothing else", "[spec]") {
  const auto hash = [](const std::string& text) { return spec_hash(spec_of(text)); };
  const std::string plain = hash("");
  for (const char* same :
       {"dataset: {window: 0}\nfeatures: {clip_mean: keep, deltas: 0, normalize: none}\nmodel: {readout: last, "
        "bidirectional: false, layer_dropout: 0}\ntraining: {weight_decay: 0, clip_norm: 0, schedule: constant, "
        "warmup: 0, select: last, patience: 0, label_smoothing: 0, mixup: 0, time_masks: [0, 0], feature_masks: [0, "
        "0]}",
        "experiment: other", "grid: {epochs: [1, 2], trials: 9}", "backend: {device: cpu, target: avx2}",
        "dataset: {path: /elsewhere}", "dataset: {split: {train: 70, validation: 20, test: 10}}",
        "training: {optimizer: adam, beta1: 0.9}",
        "model: {preset: keras2018, gate: sigmoid, dropout: 0, recurrent_dropout: 0}"})
    CHECK(hash(same) == plain);

  std::vector<std::string> hashes = {plain};
  for (const char* different : {"seed: 1",
                                "dataset: {genres: [jazz, rock]}",
                                "dataset: {genres: [rock, jazz]}",
                                "dataset: built-in",
                                "dataset: {name: built-in, seconds: 3}",
                                "dataset: {split: random-420-120-60}",
                                "dataset: {split: {train: 60, validation: 20, test: 10}}",
                                "features: {frames: 5}",
                                "features: {compat: librosa-0.6}",
                                "model: {preset: keras2018}",
                                "model: {layers: [{lstm: 5}, {dense: softmax}]}",
                                "training: {batch: 3}",
                                "training: {optimizer: sgd}",
                                "training: {loss: logits}",
                                "dataset: {window: 5}",
                                "features: {clip_mean: remove}",
                                "features: {deltas: 1}",
                                "features: {normalize: train-set}",
                                "model: {readout: mean}",
                                "model: {bidirectional: true}",
                                "model: {layer_dropout: 0.5}",
                                "training: {weight_decay: 1}",
                                "training: {clip_norm: 1}",
                                "training: {schedule: linear}",
                                "training: {warmup: 1}",
                                "training: {select: best-validation}",
                                "training: {select: best-validation, patience: 1}",
                                "training: {label_smoothing: 0.1}",
                                "training: {mixup: 1}",
                                "training: {time_masks: [1, 5]}",
                                "training: {time_masks: [1, 6]}",
                                "training: {feature_masks: [1, 5]}",
                                "grid: {mode: snapshots}",
                                "grid: {mode: snapshots, epochs: [5]}"})
    hashes.push_back(hash(different));
  std::sort(hashes.begin(), hashes.end());
  CHECK(std::adjacent_find(hashes.begin(), hashes.end()) == hashes.end());
}

TEST_CASE("of list files the content counts, wherever they lie", "[spec]") {
  const test::TemporaryFolder a, b;
  const auto hash = [](const test::TemporaryFolder& folder, const std::string& tracks) {
    write_whole_text(folder / "train.txt", tracks);
    write_whole_text(folder / "test.txt", "rock.00001\n");
    write_whole_text(folder / "x.yaml", "dataset: {split: {kind: lists, train: train.txt, test: test.txt}}");
    return spec_hash(load_spec(folder / "x.yaml", {}));
  };
  const std::string first = hash(a, "rock.00002\n");
  CHECK(hash(b, "rock.00002\n") == first);
  CHECK(hash(b, "rock.00003\n") != first);
}

TEST_CASE("the experiments that come with the program are what they say", "[spec]") {
  const Spec paper = load_spec(experiments_folder() / "epoch_sweep.yaml", {});
  CHECK(paper.experiment == "epoch_sweep");
  CHECK(paper.dataset.name == "gtzan");
  CHECK(paper.dataset.genres == std::vector<std::string>{"classical", "hiphop", "jazz", "metal", "pop", "reggae"});
  CHECK(paper.dataset.split.name == "paper-420-120-60");
  CHECK(paper.features.first_coefficient == 1);
  CHECK(paper.features.coefficients == 13);
  CHECK(paper.features.frames == 1293);
  CHECK(paper.features.compat == Compat::librosa_0_6);
  CHECK(paper.grid.epochs == std::vector<std::uint32_t>{5, 10, 20, 50, 100, 200, 400});
  CHECK(paper.grid.trials == 4);
  CHECK(ParameterLayout(paper.stack, 6).size == 93'510);

  const Spec features33 = load_spec(experiments_folder() / "features33.yaml", {});
  CHECK(features33.features.kind == FeatureKind::spectral33);
  CHECK(features33.features.frames == 128);
  CHECK(features33.stack.inputs == 33);
  CHECK(features33.stack.gate == Gate::hard_sigmoid);
  CHECK(features33.stack.recurrent_dropout == 0.35);
  CHECK(features33.grid.epochs == paper.grid.epochs);
  CHECK(features33.dataset.genres == paper.dataset.genres);

  const Spec quick = load_spec(experiments_folder() / "quick_sweep.yaml", {});
  CHECK(quick.dataset.name == "built-in");
  CHECK(quick.dataset.genres == paper.dataset.genres);
  CHECK(quick.dataset.split.name == paper.dataset.split.name);
  const double clips = quick.dataset.split.train + quick.dataset.split.validation + quick.dataset.split.test;
  CHECK(clips == static_cast<double>(quick.dataset.corpus.clips_per_genre));
  CHECK(static_cast<double>(quick.features.frames) == 1 + std::floor(quick.dataset.corpus.seconds * 22050 / 512));
}

}  // namespace
}  // namespace genretree
