#include <algorithm>
#include <fmt/format.h>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/text.hpp"
#include "experiments/clip_figures.hpp"
#include "experiments/dataset_figures.hpp"
#include "experiments/figures.hpp"
#include "experiments/genre_figures.hpp"
#include "experiments/network_figure.hpp"
#include "features/extract.hpp"
#include "features/statistics.hpp"

namespace genretree {
namespace {

/// What stands above every figure.
std::string heading_of(const Data& data) { return printable(data.summary.name); }

/// Runs `draw`; what it rejects is left out with its reason.
template <class Draw>
void try_to_draw(DatasetFigures& all, const std::string& name, Draw draw) {
  try {
    draw();
  } catch (const InputError& error) {
    all.left_out.push_back(fmt::format("{} is left out: {}", name, error.what()));
  }
}

// --------------------------------------------------------------------------------------------- one clip of each genre

/// Of each genre the clip whose track comes first by name.
std::vector<std::size_t> first_clips(const FeatureStore& store) {
  std::vector<std::size_t> first(store.genres.size(), store.clips());
  for (std::size_t clip = 0; clip < store.clips(); ++clip) {
    std::size_t& best = first[static_cast<std::size_t>(store.labels[clip])];
    if (best == store.clips() || store.tracks[clip] < store.tracks[best]) best = clip;
  }
  std::erase(first, store.clips());
  return first;
}

std::string names_of(const FeatureStore& store, const std::vector<std::size_t>& clips) {
  std::vector<std::string> names;
  for (const std::size_t clip : clips) names.push_back(printable(store.tracks[clip]));
  return join(names);
}

/// Decodes a clip of the store, up to the end of the last frame that the store may keep.
Audio audio_of(const Data& data, std::size_t clip) {
  const FeatureStore& store = data.store;
  const std::string& genre = store.genres[static_cast<std::size_t>(store.labels[clip])];
  const auto source = std::ranges::find_if(data.clips, [&](const Clip& candidate) {
    return candidate.genre == genre && candidate.track == store.tracks[clip];
  });
  if (source == data.clips.end())
    reject("the data set is a feature store, which holds no audio. Give --dataset the folder of the audio instead");
  Audio audio = source->load(store.config.sample_rate);
  audio.samples.resize(std::min(audio.samples.size(), store.config.frames * store.config.hop));
  return audio;
}

/// [frames, width] of a clip as the store has them, without padding.
Matrix stored_features(const FeatureStore& store, std::size_t clip) {
  Matrix features(real_frames(store, clip), store.config.width());
  std::copy_n(store.view()[clip].data, features.values.size(), features.values.begin());
  return features;
}

ReportFigure figure7(const Data& data) {
  const FeatureStore& store = data.store;
  const std::vector<std::size_t> clips = first_clips(store);
  std::vector<Waveform> waveforms;
  for (const std::size_t clip : clips)
    waveforms.push_back(
        {store.genres[static_cast<std::size_t>(store.labels[clip])], store.tracks[clip], audio_of(data, clip).samples});
  return {"figure7.svg", "Figure 7: waveforms",
          fmt::format("The first clip of each genre by track name ({}) of {}: one channel at {} Hz, as far as the "
                      "features go. Each row goes from -1 to 1.",
                      names_of(store, clips), heading_of(data), store.config.sample_rate),
          draw_waveforms(waveforms, store.config.sample_rate, heading_of(data))};
}

/// The same features but of this kind. Of another as MFCCs: the first 13, or fewer of fewer mel bands.
FeatureConfig of_kind(FeatureConfig config, FeatureKind kind) {
  if (config.kind == kind) return config;
  const FeatureConfig usual;
  config.kind = kind;
  config.first_coefficient = usual.first_coefficient;  // which no kind but MFCCs may choose
  config.coefficients = kind == FeatureKind::mfcc ? std::min(usual.coefficients, config.mels) : usual.coefficients;
  return config;
}

/// Whether features of this kind are there or can be taken from the audio.
bool has_kind(const Data& data, FeatureKind kind) { return data.store.config.kind == kind || !data.clips.empty(); }

/// [frames, width] of a clip in features of this kind, as many frames as the store has of it: from the store if it is
/// of this kind, else from the audio; no rows where there is none.
Matrix features_of_kind(const Data& data, std::size_t clip, FeatureKind kind, Backend& backend, Queue& queue) {
  const FeatureConfig config = of_kind(data.store.config, kind);
  if (data.store.config.kind == kind) return stored_features(data.store, clip);
  if (data.clips.empty()) return Matrix(0, config.width());
  Matrix image(real_frames(data.store, clip), config.width());
  const std::vector<float> rows = clip_features(audio_of(data, clip), data.store.tracks[clip], config,
                                                make_spectral_tables(config), backend, queue);
  std::copy_n(rows.begin(), std::min(rows.size(), image.values.size()), image.values.begin());
  image.rows = std::min(image.rows, rows.size() / image.columns);
  image.values.resize(image.rows * image.columns);
  return image;
}

std::string figure8_caption(const Data& data, const std::vector<std::size_t>& clips) {
  const FeatureConfig& heard = data.store.config;
  const FeatureConfig mfcc = of_kind(heard, FeatureKind::mfcc);
  std::string text = fmt::format("The first clip of each genre by track name ({}) of {}.", names_of(data.store, clips),
                                 heading_of(data));
  if (heard.kind != FeatureKind::mfcc) text += fmt::format(" The network hears: {}.", describe_frame(heard));
  if (has_kind(data, FeatureKind::log_mel))
    text += " Log-mel power spectrograms, down to 80 dB below the loudest value.";
  if (has_kind(data, FeatureKind::mfcc))
    text += fmt::format(
        " {}{}; colours beyond the middle 90 % of the values are those of the ends.", describe_frame(mfcc),
        mfcc.first_coefficient == 0 && mfcc.coefficients > 1 ? ", without 0, which lies far below the others" : "");
  return text + fmt::format(
                    " Window {}, hop {}, {} mel bands at {} Hz; a column of pixels is the mean of neighbouring "
                    "frames.",
                    heard.n_fft, heard.hop, heard.mels, heard.sample_rate);
}

ReportFigure figure8(const Data& data, Backend& backend) {
  const FeatureStore& store = data.store;
  if (!has_kind(data, FeatureKind::log_mel) && !has_kind(data, FeatureKind::mfcc))
    reject("the data set is a feature store of kind {}, which holds no audio to take other features from",
           name_of(store.config.kind));
  const std::unique_ptr<Queue> queue = backend.device().make_queue();
  const std::vector<std::size_t> clips = first_clips(store);
  std::vector<ClipImages> images;
  for (const std::size_t clip : clips)
    images.push_back({store.genres[static_cast<std::size_t>(store.labels[clip])], store.tracks[clip],
                      features_of_kind(data, clip, FeatureKind::mfcc, backend, *queue),
                      features_of_kind(data, clip, FeatureKind::log_mel, backend, *queue)});
  return {"figure8.svg", "Figure 8: what the network hears", figure8_caption(data, clips),
          draw_spectra(images, of_kind(store.config, FeatureKind::mfcc), heading_of(data))};
}

// -------------------------------------------------------------------------------------------------- the whole data set

std::string statistics_text(const FeatureConfig& config) {
  const std::string numbers = config.kind == FeatureKind::mfcc
                                  ? describe_frame(config)
                                  : fmt::format("{} spectral features ({})", config.width(), describe_frame(config));
  return fmt::format("the mean and the standard deviation of each of {} over a clip's frames", numbers);
}

std::string scatter_csv(const FeatureStore& store, const PrincipalComponents& components) {
  std::string text = "track,genre,component_1,component_2\n";
  for (std::size_t clip = 0; clip < store.clips(); ++clip)
    text += fmt::format("{},{},{:.6f},{:.6f}\n", csv_field(store.tracks[clip]),
                        csv_field(store.genres[static_cast<std::size_t>(store.labels[clip])]),
                        components.scores(clip, 0), components.scores(clip, 1));
  return text;
}

void add_scatter(DatasetFigures& all, const Data& data, const Matrix& statistics) {
  const FeatureStore& store = data.store;
  const Matrix standard = standardised(statistics);
  const PrincipalComponents components = principal_components(standard, 2);
  all.figures.push_back(
      {"figure13.svg", "Figure 13: the data set",
       fmt::format("{} of {}, {}: principal components of {} numbers for each clip, {}, each standardised over all "
                   "clips. The two components shown have {:.1f} % of the variance. In brackets: clips of a genre.",
                   count_of(store.clips(), "clip"), heading_of(data), count_of(store.genres.size(), "genre"),
                   standard.columns, statistics_text(store.config),
                   100 * (components.shares[0] + components.shares[1])),
       draw_scatter(components, store.labels, store.genres, heading_of(data))});
  all.files.emplace_back("scatter.csv", scatter_csv(store, components));
}

std::string similarity_csv(const std::vector<std::string>& genres, const Matrix& distances,
                           const std::vector<std::size_t>& order) {
  std::string text = "genre";
  for (const std::size_t genre : order) text += ',' + csv_field(genres[genre]);
  text += '\n';
  for (const std::size_t row : order) {
    text += csv_field(genres[row]);
    for (const std::size_t column : order) text += fmt::format(",{:.6f}", distances(row, column));
    text += '\n';
  }
  return text;
}

void add_similarity(DatasetFigures& all, const Data& data, const Matrix& statistics) {
  const FeatureStore& store = data.store;
  const Matrix distances = genre_distances(statistics, store.labels, store.genres.size());
  const std::vector<std::size_t> order = neighbour_order(distances);
  all.figures.push_back(
      {"similarity.svg", "How similar the genres are",
       fmt::format("Distances between genres of {} ({}) from {}: D² = 1/p Σ [(m_a - m_b)² / s² - 1/n_a - 1/n_b] over "
                   "the p statistics, with m a genre's mean over its n clips and s the standard deviation within "
                   "genres; 0 where that is negative. 0: alike; 1: one standard deviation apart in every statistic. "
                   "The strongest colour is the most similar; neighbours are similar.",
                   heading_of(data), count_of(store.clips(), "clip"), statistics_text(store.config)),
       draw_similarity(distances, order, store.genres, heading_of(data))});
  all.files.emplace_back("similarity.csv", similarity_csv(store.genres, distances, order));
}

// ---------------------------------------------------------------------------------------------------------------- page

std::string first_line(const Data& data) {
  const DatasetSummary& summary = data.summary;
  return is_synthetic(summary.source)
             ? fmt::format("{}: these figures say nothing about GTZAN, real music or the paper.", heading_of(data))
             : fmt::format("Data: {}, {} of {}.", heading_of(data), count_of(summary.clips, "clip"),
                           count_of(summary.genres.size(), "genre"));
}

/// "960": a picture is not shown larger than it is made for.
std::string width_of(const std::string& svg) {
  const std::size_t width = svg.find("viewBox=\"0 0 ") + std::string_view("viewBox=\"0 0 ").size();
  return svg.substr(width, svg.find(' ', width) - width);
}

std::string page_of(const Spec& spec, const Data& data, const DatasetFigures& all) {
  const auto escaped = [](const std::string& text) { return xml_escaped(printable(text)); };
  const std::string title = fmt::format("{}: data and network", spec.experiment);
  std::string body = fmt::format("<h1>{}</h1>\n<p class=\"first-line{}\">{}</p>\n", escaped(title),
                                 is_synthetic(data.summary.source) ? " banner" : "", escaped(first_line(data)));
  for (const std::string& reason : all.left_out) body += fmt::format("<p class=\"banner\">{}</p>\n", escaped(reason));
  std::string rows, notes;
  for (const auto& [name, value] : {std::pair("source", data.summary.source),
                                    {"genres", join(data.summary.genres)},
                                    {"features", describe(spec.features)},
                                    {"data checksum", data.summary.checksum}})
    rows += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", name, escaped(value));
  body += fmt::format("<table class=\"facts\">\n{}</table>\n", rows);
  for (const ReportFigure& figure : all.figures)
    body += fmt::format(
        "<h2>{}</h2>\n<figure>\n<div style=\"max-width: {}px\">{}</div>\n<figcaption>{}</figcaption>\n</figure>\n",
        escaped(figure.title), width_of(figure.svg), figure.svg.substr(figure.svg.find("<svg")),
        escaped(figure.caption));
  for (const std::string& note : data.summary.notes) notes += fmt::format("<li>{}</li>\n", escaped(note));
  if (!notes.empty()) body += fmt::format("<h2>Notes on the data</h2>\n<ul>\n{}</ul>\n", notes);
  return html_page(printable(title), body);
}

}  // namespace

DatasetFigures draw_dataset_figures(const Spec& spec, const Data& data, Backend& backend) {
  DatasetFigures all;
  all.figures.push_back(
      {"figure6.svg", spec.tree.empty() ? "Figure 6: the network" : "Figure 6: the networks of the tree",
       fmt::format("{} that come out of each layer for one clip, and its parameters. Experiment {}, {}, {}.",
                   spec.cnn ? "Rows × columns × channels" : "Frames × numbers", spec.experiment,
                   count_of(data.store.genres.size(), "genre"), describe(spec.features)),
       draw_network(spec, data.store.genres, heading_of(data))});
  try_to_draw(all, "Figure 7 (waveforms)", [&] { all.figures.push_back(figure7(data)); });
  try_to_draw(all, "Figure 8 (features)", [&] {
    all.figures.push_back(figure8(data, backend));
    for (const auto& [kind, name] : {std::pair(FeatureKind::log_mel, "log-mel"), {FeatureKind::mfcc, "MFCC"}})
      if (!has_kind(data, kind))
        all.left_out.push_back(fmt::format(
            "The {} half of Figure 8 is left out: the data set is a feature store, which holds no audio", name));
  });
  const Matrix statistics = clip_statistics(data.store);
  try_to_draw(all, "Figure 13 (scatter)", [&] { add_scatter(all, data, statistics); });
  try_to_draw(all, "The similarity of genres", [&] { add_similarity(all, data, statistics); });
  return all;
}

void write_dataset_figures(const std::filesystem::path& folder, const Spec& spec, const Data& data,
                           const DatasetFigures& figures) {
  make_writable_folder(folder);
  for (const ReportFigure& figure : figures.figures) write_whole_text(folder / figure.file, standalone(figure.svg));
  for (const auto& [name, text] : figures.files) write_whole_text(folder / name, text);
  write_whole_text(folder / "index.html", page_of(spec, data, figures));
}

}  // namespace genretree
