// A whole tree in one file: what it says, and what it refuses.
#include "core/error.hpp"
#include "core/io/files.hpp"
#include "models/tree_file.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

/// jazz against loud music, and that divided in two; networks of random weights.
SavedNetworks tiny_tree() {
  SavedNetworks saved;
  saved.tree = GenreTree({{"top", 3, {"loud", "jazz"}}, {"loud", 5, {"rock", "metal"}}}, {"metal", "jazz", "rock"});
  for (std::size_t node = 0; node < 2; ++node) {
    SavedModel network;
    network.model.classifier = {StackConfig{.inputs = 13, .units = {4, 3}}, 2};
    network.model.features = FeatureConfig{};
    network.model.genres = saved.tree.nodes()[node].children;
    network.model.node = saved.tree.nodes()[node].name;
    network.model.below = saved.tree.genres_below_children(node);
    network.parameters = initial_parameters(network.model.classifier, {.seed = node});
    network.origin = "trained by a test";
    saved.networks.push_back(network);
  }
  saved.origin = "made by a test";
  return saved;
}

void write(const fs::path& path, const SavedNetworks& saved) {
  write_tree_model(path, saved, {{"seed", "7"}}, {{{"run", "top-t0"}}, {{"run", "loud-t0"}}});
}

TEST_CASE("the genres below the children of a node") {
  const GenreTree tree = tiny_tree().tree;
  CHECK(tree.genres_below_children(0) == std::vector<std::vector<std::string>>{{"metal", "rock"}, {"jazz"}});
  CHECK(tree.genres_below_children(1) == std::vector<std::vector<std::string>>{{"rock"}, {"metal"}});
}

TEST_CASE("a tree is read back bit for bit, and any HDF5 program finds its parts by name") {
  const test::TemporaryFolder folder;
  const SavedNetworks saved = tiny_tree();
  write(folder / "tree.h5", saved);
  for (const SavedNetworks& read : {read_tree_model(folder / "tree.h5"), read_networks(folder / "tree.h5")}) {
    CHECK(read.tree.nodes() == saved.tree.nodes());
    CHECK(read.tree.genres() == saved.tree.genres());
    CHECK(read.origin == "made by a test");
    REQUIRE(read.networks.size() == 2);
    for (std::size_t node = 0; node < 2; ++node) {
      CHECK(read.networks[node].parameters == saved.networks[node].parameters);
      CHECK(read.networks[node].model.genres == saved.networks[node].model.genres);
      CHECK(read.networks[node].model.below == saved.networks[node].model.below);
      CHECK(read.networks[node].model.features == saved.networks[node].model.features);
      CHECK(read.networks[node].origin == "trained by a test");
    }
  }
  const Hdf5File file = Hdf5File::open(folder / "tree.h5");
  CHECK(file.attribute<std::string>("/", "kind") == "tree");
  CHECK(file.attribute<std::string>("/", "seed") == "7");
  CHECK(file.read<std::string>("/nodes").values == std::vector<std::string>{"top", "loud"});
  CHECK(file.attribute<std::string>("/node/loud", "run") == "loud-t0");
  CHECK(file.attribute<std::int64_t>("/node/loud", "epochs") == 5);
  CHECK(file.read<std::string>("/node/loud/genres").values == std::vector<std::string>{"rock", "metal"});
  CHECK(file.read<float>("/node/top/model/lstm_1/recurrent_kernel").shape == std::vector<std::size_t>{3, 12});
  CHECK_FALSE(file.has_attribute("/node/top", "features"));  // they stand at the root, once

  write_model(folder / "single.h5", saved.networks[1]);
  const SavedNetworks single = read_networks(folder / "single.h5");
  CHECK(single.tree.empty());
  CHECK(single.networks.front().parameters == saved.networks[1].parameters);
  CHECK_THROWS_WITH(read_model(folder / "tree.h5"),
                    Catch::Contains("is a model of the kind 'tree', but a 'classifier' is needed"));
  CHECK_THROWS_WITH(read_tree_model(folder / "single.h5"),
                    Catch::Contains("is a model of the kind 'classifier', but a 'tree' is needed"));
}

TEST_CASE("networks that are not those of the tree's nodes are not written") {
  const test::TemporaryFolder folder;
  SavedNetworks saved = tiny_tree();
  SECTION("in another order") { std::swap(saved.networks[0], saved.networks[1]); }
  SECTION("one too few") { saved.networks.pop_back(); }
  SECTION("with other features") { saved.networks[1].model.features->hop = 256; }
  CHECK_THROWS_AS(write(folder / "tree.h5", saved), Error);
  CHECK_FALSE(fs::exists(folder / "tree.h5"));
}

TEST_CASE("details of fewer or more nodes than the tree has are not written") {
  const test::TemporaryFolder folder;
  for (const std::size_t nodes : {0, 1, 3})
    CHECK_THROWS_WITH(write_tree_model(folder / "tree.h5", tiny_tree(), {}, std::vector<Details>(nodes)),
                      Catch::Contains("for a tree of 2 nodes"));
  CHECK_FALSE(fs::exists(folder / "tree.h5"));
}

TEST_CASE("a file whose parts do not make one tree is refused with the reason") {
  const test::TemporaryFolder folder;
  struct Parts {
    std::vector<std::string> genres = {"metal", "jazz", "rock"}, nodes = {"top", "loud"};
    SavedNetworks saved = tiny_tree();
    std::int64_t epochs = 3;
  };
  const auto refused = [&](const Parts& parts, const std::string& message) {
    Hdf5File file = Hdf5File::create(folder / "bad.h5");
    write_header(file, tree_kind, FeatureConfig{});
    file.set_attribute("/", "origin", std::string("bad"));
    file.write("/genres", parts.genres);
    file.write("/nodes", parts.nodes);
    for (std::size_t node = 0; node < 2; ++node) {
      Hdf5File group = file.group(node == 0 ? "/node/top" : "/node/loud");
      const SavedModel& network = parts.saved.networks[node];
      write_network(group, network.model, network.parameters, network.origin);
      group.set_attribute("/", "epochs", parts.epochs);
    }
    file.close();
    const std::string error = test::error_of([&] { read_tree_model(folder / "bad.h5"); });
    if (message.empty())
      CHECK(error == "no error");
    else
      CHECK_THAT(error, Catch::Contains("bad.h5") && Catch::Contains(message));
  };
  refused({}, "");  // as it should be
  refused({.nodes = {"top", "quiet"}}, "it names the node 'quiet', but has no group '/node/quiet'");
  refused({.nodes = {"top", "../loud"}}, "it names the node '../loud'");
  refused({.nodes = {"top"}}, "'loud' is neither a node of the tree nor a genre");
  refused({.nodes = {}}, "the tree has no nodes");
  refused({.nodes = {"top", "loud", "top"}}, "there are two nodes named 'top'");
  refused({.genres = {"metal", "jazz"}}, "'rock' is neither a node");
  refused({.genres = {"metal", "jazz", "rock", "pop"}}, "the genre 'pop' has no place");
  refused({.epochs = 0}, "has 0 epochs");
  Parts parts;
  parts.saved.networks[1].model.below = {{"metal"}, {"rock"}};
  refused(parts, "the network in '/node/loud' belongs to another node, or has other genres below");
  parts = {};
  parts.saved.networks[1].model.features->coefficients = 12;
  parts.saved.networks[1].model.classifier.stack.inputs = 12;
  parts.saved.networks[1].parameters.resize(ParameterLayout(parts.saved.networks[1].model.classifier.stack, 2).size);
  refused(parts, "takes 12 numbers for each frame, but its features have 13");
  parts = {};
  parts.saved.networks[0].parameters[5] = NAN;
  refused(parts, "its training diverged");
}

TEST_CASE("a tree's file that was cut anywhere, or has a flipped bit in a network, is refused") {
  const test::TemporaryFolder folder;
  const SavedNetworks saved = tiny_tree();
  write(folder / "tree.h5", saved);
  const std::string whole = read_text(folder / "tree.h5");
  for (std::size_t part = 0; part < 40; ++part) {
    const std::size_t size = part * whole.size() / 40;
    write_whole_text(folder / "bad.h5", std::string_view(whole).substr(0, size));
    INFO(size << " of " << whole.size() << " bytes");
    CHECK_THROWS_AS(read_tree_model(folder / "bad.h5"), InputError);
  }
  for (const SavedModel& network : saved.networks) {
    std::string bytes = whole;
    const std::size_t at = bytes.find(std::string_view(reinterpret_cast<const char*>(network.parameters.data()), 16));
    REQUIRE(at != std::string::npos);
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    write_whole_text(folder / "bad.h5", bytes);
    CHECK_THROWS_WITH(read_tree_model(folder / "bad.h5"), Catch::Contains("its network does not have the checksum"));
  }
}

}  // namespace
}  // namespace genretree
