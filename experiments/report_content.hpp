// What a report says, before it is put into Markdown or HTML.
#pragma once

#include <array>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "experiments/report.hpp"
#include "experiments/summary.hpp"

namespace genretree {

struct ReportFigure {
  std::string file;  ///< "figure11.svg"
  std::string title, caption, svg;
  bool wide = false;  ///< takes a row of its own
};

/// A confusion matrix of the test set, summed over trials.
struct ReportConfusion {
  std::string title;
  std::vector<std::string> classes;
  std::vector<std::uint32_t> counts;  ///< [classes, classes], true class by row
};

/// A table of text: the first column names the rows; the first `words` columns hold words, the others numbers.
struct ReportTable {
  std::string title;
  std::vector<std::string> heading;
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> notes;
  std::size_t words = 1;
  bool sortable = false;  ///< in HTML, by a click on a heading
};

/// What the two tables that every experiment has are called: the means of each grid point or node, and its trials.
struct ResultTables {
  std::string rows;      ///< what a row stands for: "epochs", "node"
  std::string csv_rows;  ///< the same as columns of a CSV file: "epochs", "node,epochs"
  std::string means_title, means_csv, trials_title, trials_csv;
  bool of_tree = false;  ///< whether the table of means shows GridPoint::test_clips() and largest_class() of its nodes
};

/// The paper's value for a cell of Figure 10 or Table 3; NaN and empty where it is not known.
struct PaperCell {
  double value = std::numeric_limits<double>::quiet_NaN();
  std::string text;   ///< "1.8864¹"
  std::string aside;  ///< what has to stand beside it: "Fig. 9: 1.9014"
};
using PaperRow = std::array<PaperCell, metrics.size()>;

/// The paper's values for each of the points; empty if none is known, or if the data are not the paper's GTZAN.
std::vector<PaperRow> paper_rows(const Spec& spec, const DatasetSummary& dataset, const std::vector<GridPoint>& points);

ResultTables result_tables(const Spec& spec, bool with_paper);

/// "paper-420-120-60 (by index)", "lists train.txt, valid.txt, test.txt": how clips are divided, in a few words.
std::string split_text(const SplitConfig& split);

/// True for the data that the paper's values are of.
bool is_gtzan(const DatasetSummary& dataset);

struct ReportContent {
  std::string title;
  std::string data, split;  ///< what it ran on: "Data: GTZAN, 599 clips of 6 genres", split_text()
  std::string first_line;   ///< both in a sentence
  bool synthetic = false;
  std::vector<std::string> warnings;                       ///< "13 of 28 cells …", "2 trainings diverged …"
  std::vector<std::pair<std::string, std::string>> facts;  ///< data, split, model, …: name and text
  std::vector<std::string> notes;
  std::vector<std::string> genres;
  std::vector<GridPoint> points;
  std::vector<PaperRow> paper;  ///< beside `points`, or empty
  ResultTables results;         ///< what the tables of `points` are called
  std::vector<std::string> means_notes;
  std::vector<ReportTable> tables;  ///< of a tree
  std::string figures_title;        ///< above the figures, where they stand side by side
  std::vector<ReportFigure> figures, curve_figures;
  std::vector<ReportConfusion> confusions;
  std::vector<std::pair<std::string, std::string>> files;  ///< further CSV files: name and text
  std::optional<ReportTable> first_table = {};             ///< above the table of means: the tree itself
};

/// Says which data they are: data, split, first_line and synthetic.
void set_data(ReportContent& content, const Spec& spec, const DatasetSummary& dataset);

ReportContent make_content(const Spec& spec, const DatasetSummary& dataset, const std::vector<Result>& results);

std::string to_markdown(const ReportContent& content);
std::string to_html(const ReportContent& content);

/// A whole page with the report's style around the HTML of its body.
std::string html_page(const std::string& title, const std::string& body);

/// Text that stands for itself in HTML and SVG, also in an attribute.
std::string xml_escaped(const std::string& text);

/// A field of a CSV file, in quotes where needed.
std::string csv_field(const std::string& text);

/// Tables for a terminal.
std::string tables_text(const std::vector<ReportTable>& tables);

/// The share of row `row` on the diagonal; NaN for an empty row.
double recall(const ReportConfusion& confusion, std::size_t row);

}  // namespace genretree
