#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "core/text.hpp"
#include "experiments/clip_figures.hpp"
#include "experiments/figures.hpp"

namespace genretree {
namespace {

constexpr std::size_t width = 960;
constexpr const char* small_font = "system-ui, sans-serif,12";

std::string terminal(const std::string& id, std::size_t height) {
  return fmt::format(
      "set terminal svg size {0},{1} dynamic noenhanced font 'system-ui, sans-serif,14' name '{2}'\n"
      "set encoding utf8\n"
      "set border linecolor rgb '{3}' linewidth 0.8\n"
      "set tics nomirror out scale 0.5 textcolor rgb '{3}'\n"
      "unset key\n",
      width, height, id, ink);
}

/// A name that leaves room for the picture.
std::string shortened(const std::string& name, std::size_t most) {
  const std::string text = printable(name);
  return characters(text) <= most ? text : std::string(first_characters(text, most - 1)) + "…";
}

/// Text at a place in pixels from the picture's left and top.
std::string label(const std::string& words, double x, double y, std::size_t height, const char* rest = "left") {
  return fmt::format("set label {} at screen {:.5f}, screen {:.5f} {} textcolor rgb '{}'\n", gnuplot_quoted(words),
                     x / width, 1 - y / static_cast<double>(height), rest, ink);
}

/// The plot's place in pixels from the picture's left and top.
std::string place(double left, double right, double top, double bottom, std::size_t height) {
  const double h = static_cast<double>(height);
  return fmt::format(
      "set lmargin at screen {:.5f}\nset rmargin at screen {:.5f}\nset tmargin at screen {:.5f}\nset bmargin at screen "
      "{:.5f}\n",
      left / width, right / width, 1 - top / h, 1 - bottom / h);
}

// ----------------------------------------------------------------------------------------------------------- waveforms

constexpr std::size_t waveform_columns = 600;

/// x, lowest and highest sample of each of waveform_columns parts of the clip, around the height `middle`.
std::string envelope(const Waveform& waveform, unsigned sample_rate, double middle) {
  constexpr double half_row = 0.48;
  const std::size_t samples = waveform.samples.size(), columns = std::min(samples, waveform_columns);
  std::string block;
  for (std::size_t column = 0; column < columns; ++column) {
    const auto begin = waveform.samples.begin() + static_cast<std::ptrdiff_t>(column * samples / columns),
               end = waveform.samples.begin() + static_cast<std::ptrdiff_t>((column + 1) * samples / columns);
    const auto [low, high] = std::minmax_element(begin, end);
    block += fmt::format(
        "{:.3f} {:.3f} {:.3f}\n",
        (static_cast<double>(column) + 0.5) * static_cast<double>(samples) / static_cast<double>(columns) / sample_rate,
        middle + half_row * static_cast<double>(*low), middle + half_row * static_cast<double>(*high));
  }
  return block;
}

// -------------------------------------------------------------------------------------------------------------- images

constexpr std::size_t image_columns = 220, image_rows = 64;  // at most

/// One kind of image in all rows of the figure.
struct ImageColumn {
  std::string title, y_label, y_ticks;
  double left, right;                 ///< pixels
  std::size_t first_number, numbers;  ///< of the bands or coefficients
  std::vector<Matrix> images;         ///< of each clip, [columns of pixels, rows of pixels]
  double lowest = 0, highest = 0;     ///< ends of the colour scale
};

/// Means over neighbouring frames and bands, so that no image has more pixels than can be shown.
Matrix with_fewer_pixels(const Matrix& frames) {
  Matrix image(std::min(frames.rows, image_columns), std::min(frames.columns, image_rows));
  for (std::size_t column = 0; column < image.rows; ++column)
    for (std::size_t row = 0; row < image.columns; ++row) {
      const std::size_t first_frame = column * frames.rows / image.rows,
                        end_frame = (column + 1) * frames.rows / image.rows,
                        first_band = row * frames.columns / image.columns,
                        end_band = (row + 1) * frames.columns / image.columns;
      double sum = 0;
      for (std::size_t t = first_frame; t < end_frame; ++t)
        for (std::size_t band = first_band; band < end_band; ++band) sum += frames(t, band);
      image(column, row) = sum / static_cast<double>((end_frame - first_frame) * (end_band - first_band));
    }
  return image;
}

Matrix without_first_column(const Matrix& matrix) {
  Matrix rest(matrix.rows, matrix.columns - 1);
  for (std::size_t row = 0; row < rest.rows; ++row)
    for (std::size_t column = 0; column < rest.columns; ++column) rest(row, column) = matrix(row, column + 1);
  return rest;
}

/// The value that a share of all pixels lies below.
double quantile(const std::vector<Matrix>& images, double share) {
  std::vector<double> values;
  for (const Matrix& image : images) values.insert(values.end(), image.values.begin(), image.values.end());
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::ranges::nth_element(values, place);
  return *place;
}

/// Marks at round frequencies, between the bands around them.
std::string mel_ticks(const FeatureConfig& config) {
  const SpectralTables tables = make_spectral_tables(config);
  std::vector<double> centres;  // Hz
  for (const SpectralTables::Band& band : tables.mel) {
    double sum = 0, weighted = 0;
    for (std::size_t i = 0; i < band.weights.size(); ++i) {
      sum += band.weights[i];
      weighted += band.weights[i] * static_cast<double>(band.first_bin + i);
    }
    centres.push_back(sum > 0 ? weighted / sum * config.sample_rate / static_cast<double>(config.n_fft) : 0);
  }
  std::vector<std::string> ticks;
  for (const double khz : {0.5, 1.0, 2.0, 4.0, 8.0, 16.0}) {
    const auto above = std::ranges::find_if(centres, [&](double centre) { return centre >= 1000 * khz; });
    if (above == centres.begin() || above == centres.end()) continue;
    const double share = (1000 * khz - above[-1]) / (above[0] - above[-1]);
    ticks.push_back(fmt::format("'{}' {:.2f}", khz, static_cast<double>(above - centres.begin()) - 1 + share));
  }
  return fmt::format("({})", join(ticks));
}

ImageColumn mel_column(const std::vector<ClipImages>& clips, const FeatureConfig& config) {
  ImageColumn column{"log-mel power spectrogram (dB)", "kHz", mel_ticks(config), 70, 470, 0, config.mels, {}};
  for (const ClipImages& clip : clips) column.images.push_back(with_fewer_pixels(clip.log_mel));
  column.highest = 10 * std::ceil(quantile(column.images, 1) / 10);
  column.lowest = column.highest - make_spectral_tables(config).top_db;
  return column;
}

ImageColumn mfcc_column(const std::vector<ClipImages>& clips, const FeatureConfig& config, double left) {
  const std::size_t hidden = config.first_coefficient == 0 && config.coefficients > 1 ? 1 : 0;  // the loudness
  const std::size_t numbers = config.coefficients - hidden, step = numbers > 40 ? 20 : numbers > 20 ? 10 : 4;
  ImageColumn column{
      "MFCC (dB)", "coefficient", std::to_string(step), left, width - 20, config.first_coefficient + hidden, numbers,
      {}};
  for (const ClipImages& clip : clips)
    column.images.push_back(with_fewer_pixels(hidden ? without_first_column(clip.mfcc) : clip.mfcc));
  column.lowest = 10 * std::floor(quantile(column.images, 0.05) / 10);
  column.highest = std::max(column.lowest + 10, 10 * std::ceil(quantile(column.images, 0.95) / 10));
  return column;
}

std::size_t frames_of(const ClipImages& clip) { return std::max(clip.mfcc.rows, clip.log_mel.rows); }

constexpr double top = 100, row_height = 132, name_height = 22, image_height = 94, bottom = 50;

/// A data block of one image, a line for each row of pixels.
std::string image_block(const Matrix& image) {
  std::string block = "$image << END\n";
  for (std::size_t row = 0; row < image.columns; ++row) {
    for (std::size_t column = 0; column < image.rows; ++column) block += fmt::format("{:.1f} ", image(column, row));
    block += '\n';
  }
  return block + "END\n";
}

/// One image with its axes; the first row has the column's title and colour scale, the last the axis of time.
std::string image_plot(const ImageColumn& column, const ClipImages& clip, std::size_t row, std::size_t rows,
                       double seconds_per_frame, double longest, std::size_t height) {
  const Matrix& image = column.images[row];
  const double image_top = top + row_height * static_cast<double>(row) + name_height, h = static_cast<double>(height);
  const double step = static_cast<double>(frames_of(clip)) / static_cast<double>(image.rows) * seconds_per_frame;
  const double first = static_cast<double>(column.first_number) - 0.5, numbers = static_cast<double>(column.numbers),
               pixel_rows = static_cast<double>(image.columns);
  const bool is_last = row + 1 == rows;
  std::string script = image_block(image);
  script += label(shortened(clip.genre, 40) + "  " + shortened(clip.track, 40), column.left, image_top - 10, height);
  if (row == 0) {
    script += label(column.title, column.left, 38, height);
    script += fmt::format(
        "set colorbox horizontal user origin screen {:.5f}, screen {:.5f} size screen {:.5f}, screen {:.5f} noborder\n",
        column.left / width, 1 - 66 / h, (column.right - column.left) / width, 14 / h);
  }
  script += place(column.left, column.right, image_top, image_top + image_height, height);
  script += fmt::format(
      "set cbrange [{}:{}]\nset cbtics out scale 0.4 offset 0,0.4\nset xrange [0:{:.4f}]\nset yrange [{}:{}]\n"
      "set ylabel '{}' offset 1,0 textcolor rgb '{}'\nset ytics {}\nset xtics format '{}'\nset xlabel '{}' "
      "offset 0,0.4 textcolor rgb '{}'\n",
      column.lowest, column.highest, longest, first, first + numbers, column.y_label, ink, column.y_ticks,
      is_last ? "%g" : "", is_last ? "time (s)" : "", ink);
  return script + fmt::format(
                      "plot $image matrix using (($1 + 0.5) * {:.6f}):(($2 + 0.5) * {:.6f} + {}):3 with image "
                      "notitle\nunset label\nunset colorbox\n",
                      step, numbers / pixel_rows, first);
}

}  // namespace

std::string draw_waveforms(const std::vector<Waveform>& waveforms, unsigned sample_rate, const std::string& heading) {
  constexpr double row = 58, first = 40;
  const std::size_t rows = waveforms.size(), height = 102 + static_cast<std::size_t>(row) * rows;
  std::size_t longest_name = 0, samples = 0;
  for (const Waveform& waveform : waveforms) {
    longest_name =
        std::max({longest_name, characters(shortened(waveform.genre, 30)), characters(shortened(waveform.track, 30))});
    samples = std::max(samples, waveform.samples.size());
  }
  const double left = 26 + 7.6 * static_cast<double>(longest_name);
  std::string script = terminal("figure7", height) + label(heading, left, 18, height);
  script += place(left, width - 20, first, first + row * static_cast<double>(rows), height);
  script += fmt::format(
      "set border 1\nunset ytics\nset xrange [0:{:.4f}]\nset yrange [0:{}]\nset xlabel 'time (s)' offset 0,0.4 "
      "textcolor rgb '{}'\n",
      static_cast<double>(samples) / sample_rate, rows, ink);
  std::string plots;
  for (std::size_t i = 0; i < rows; ++i) {
    const double middle = static_cast<double>(rows - i) - 0.5, y = first + row * (static_cast<double>(i) + 0.5);
    script += label(shortened(waveforms[i].genre, 30), left - 10, y - 8, height, "right");
    script += label(shortened(waveforms[i].track, 30), left - 10, y + 9, height,
                    fmt::format("right font '{}'", small_font).c_str());
    script += fmt::format("$wave{} << END\n{}END\n", i, envelope(waveforms[i], sample_rate, middle));
    plots += fmt::format(
        "{}$wave{} using 1:2:3 with filledcurves linecolor rgb '#1F83C6' linewidth 0.7 fillstyle solid 1 border "
        "notitle",
        i == 0 ? "" : ", ", i);
  }
  return draw_script(script + "plot " + plots + "\n", "figure7", "Waveforms, one clip of each genre");
}

std::string draw_spectra(const std::vector<ClipImages>& clips, const FeatureConfig& config,
                         const std::string& heading) {
  const auto all_have = [&](Matrix ClipImages::*image) {
    return std::ranges::all_of(clips, [image](const ClipImages& clip) { return (clip.*image).rows > 0; });
  };
  std::vector<ImageColumn> columns;
  if (all_have(&ClipImages::log_mel)) columns.push_back(mel_column(clips, config));
  if (all_have(&ClipImages::mfcc)) columns.push_back(mfcc_column(clips, config, columns.empty() ? 70 : 545));

  const std::size_t rows = clips.size();
  const auto height = static_cast<std::size_t>(top + row_height * static_cast<double>(rows) + bottom - 10);
  const double seconds_per_frame = static_cast<double>(config.hop) / config.sample_rate;
  std::size_t longest = 0;
  for (const ClipImages& clip : clips) longest = std::max(longest, frames_of(clip));
  // viridis of matplotlib: even steps for the eye, and in grey from dark to light
  std::string script = terminal("figure8", height) +
                       "set palette maxcolors 32 defined (0 '#440154', 1 '#482878', 2 '#3E4989', 3 '#31688E', "
                       "4 '#26828E', 5 '#1F9E89', 6 '#35B779', 7 '#6DCD59', 8 '#B4DE2C', 9 '#FDE725')\n"
                       "set multiplot\nunset colorbox\n";
  script += label(heading, columns.front().left, 14, height);
  for (const ImageColumn& column : columns)
    for (std::size_t row = 0; row < rows; ++row)
      script += image_plot(column, clips[row], row, rows, seconds_per_frame,
                           static_cast<double>(longest) * seconds_per_frame, height);
  std::string svg = draw_script(script + "unset multiplot\n", "figure8", "Features of one clip of each genre");
  replace_all(svg, "<image ", "<image style='image-rendering:pixelated' ");  // not blurred
  return svg;
}

}  // namespace genretree
