// The answers of classify as text and as JSON.
#pragma once

#include <filesystem>
#include <vector>

#include "tools/classify/answers.hpp"

namespace genretree {

/// A line on the model, a line for each clip, and how often that agrees with the labels of stores.
void print_text(const std::filesystem::path& model_path, const SavedNetworks& model,
                const std::vector<Answer>& answers);

/// One document with everything; its keys are told in json_help.
void print_json(const std::filesystem::path& model_path, const SavedNetworks& model,
                const std::vector<Answer>& answers);

inline constexpr const char* json_help =
    "--json prints one document: \"model\" (file, kind, network, origin, features, genres; of a tree its nodes with\n"
    "their children; of one node of a tree its children and the genres below each), \"inputs\", and where stores say\n"
    "the genres \"agreement\" (clips, other_genres, right; of a tree also right_soft). Each input has\n"
    "  input, windows      its file, and how many windows were averaged; of a store's clip also track and label\n"
    "  genre               the answer (of a tree by hard routing); of one node of a tree it is called child\n"
    "  probabilities       of every genre (of a tree by soft routing) or child\n"
    "  soft_genre          of a tree: the most probable genre\n"
    "  path                of a tree: the way of hard routing, as {node, child, probability} from the root on\n"
    "  nodes               of a tree: what every node says, {node: {child: probability}}\n"
    "  error               in place of all that, why it could not be used";

}  // namespace genretree
