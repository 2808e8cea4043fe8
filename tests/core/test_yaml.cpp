#include "core/error.hpp"
#include "core/io/yaml.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

TEST_CASE("every value knows what it is and where it stands") {
  const YamlValue document =
      parse_yaml("experiment: sweep\ngrid:\n  epochs: [5, 10]\n  name: '7'\n  empty:\n", "sweep.yaml");
  REQUIRE(document.kind == YamlValue::Kind::map);
  CHECK(document.find("experiment")->text == "sweep");
  CHECK(document.find("trials") == nullptr);
  const YamlValue& grid = *document.find("grid");
  CHECK(grid.find("epochs")->items.at(1).text == "10");
  CHECK(grid.find("epochs")->items.at(1).where() == "sweep.yaml:3:15");
  CHECK(grid.find("epochs")->where_key() == "sweep.yaml:3:3");
  CHECK(grid.find("name")->quoted);
  CHECK_FALSE(grid.find("epochs")->items.at(0).quoted);
  CHECK(grid.find("empty")->kind == YamlValue::Kind::null);
  CHECK(grid.find("empty")->where() == "sweep.yaml:5:3");
  CHECK(grid.find("epochs")->describe() == "a list");
}

TEST_CASE("a syntax error and a key that stands twice are errors with their place") {
  CHECK_THROWS_WITH(parse_yaml("a: 1\nb: [2\n", "x.yaml"), Catch::StartsWith("x.yaml:3:1: not valid YAML"));
  CHECK_THROWS_WITH(parse_yaml("a: 1\nb: 2\na: 3\n", "x.yaml"), Catch::Contains("the key 'a' stands twice"));
  CHECK_THROWS_AS(parse_yaml("a: 1\na: 2\n", "x.yaml"), InputError);
  CHECK_THROWS_AS(parse_yaml_file("/nowhere/x.yaml"), InputError);
}

TEST_CASE("--set replaces, adds, and makes the maps on the way") {
  YamlValue document = parse_yaml("training: {batch: 35}\n", "x.yaml");
  set_yaml_path(document, "training.batch=10");
  set_yaml_path(document, "grid.epochs=[5, 10]");
  set_yaml_path(document, "name=a=b");
  CHECK(document.find("training")->find("batch")->text == "10");
  CHECK(document.find("training")->find("batch")->where() == "--set training.batch");
  CHECK(document.find("grid")->find("epochs")->items.size() == 2);
  CHECK(document.find("name")->text == "a=b");
  CHECK_THROWS_WITH(set_yaml_path(document, "batch"), "--set batch: write it as key=value");
  CHECK_THROWS_WITH(set_yaml_path(document, "a..b=1"), Catch::Contains("has an empty part"));
  CHECK_THROWS_WITH(set_yaml_path(document, "a=[1"), Catch::Contains("not valid YAML"));
}

TEST_CASE("a value put at a path keeps its position, and what is removed is gone") {
  YamlValue document = parse_yaml("training: {batch: 35, optimizer: adam}", "a.yaml");
  const YamlValue other = parse_yaml("\n  [5, {lstm: 10}]", "b.yaml");
  CHECK(set_yaml_value(document, "grid.epochs", other));
  CHECK(document.find("grid")->find("epochs")->where() == "b.yaml:2:3");
  CHECK(set_yaml_value(document, "training.batch.size", other));  // a map takes the place of a scalar
  CHECK(document.one_line() ==
        "{training: {batch: {size: [5, {lstm: 10}]}, optimizer: adam}, grid: {epochs: [5, {lstm: 10}]}}");
  for (const char* path : {"", ".", ".a", "a.", "a..b"}) CHECK_FALSE(set_yaml_value(document, path, other));
  CHECK(erase_yaml_value(document, "training.batch"));
  CHECK(erase_yaml_value(document, "grid"));
  CHECK_FALSE(erase_yaml_value(document, "grid.epochs"));
  CHECK_FALSE(erase_yaml_value(document, "training.optimizer.adam"));
  CHECK(document.one_line() == "{training: {optimizer: adam}}");
}

TEST_CASE("values on one line are read back as they were, and different ones differ") {
  const auto one_line = [](const std::string& text) { return parse_yaml(text, "x.yaml").one_line(); };
  CHECK(one_line("['a, b']") == "[\"a, b\"]");
  CHECK(one_line("[a, b]") == "[a, b]");
  CHECK(one_line("'rock: 5'") == "\"rock: 5\"");
  CHECK(one_line("[]") == "[]");
  CHECK(one_line("[~]") == "[null]");
  CHECK(one_line("/data/My Music/x-1_2.h5") == "/data/My Music/x-1_2.h5");
  for (const std::string text : {"a, b", "a: b", "a]",   "{a}", "",   " a", "a ", "null", "~",      "'",
                                 "\"",   "# a",  "a #b", "- a", "&a", "*a", "!a", "a\nb", "Händel", "x\\y"}) {
    YamlValue scalar, list, map;
    scalar.kind = YamlValue::Kind::scalar;
    scalar.text = text;
    list.kind = YamlValue::Kind::sequence;
    list.items = {scalar, scalar};
    map.kind = YamlValue::Kind::map;
    map.entries = {{text, list}};
    INFO(map.one_line());
    const YamlValue read = parse_yaml(map.one_line(), "x.yaml");
    REQUIRE(read.find(text));
    REQUIRE(read.find(text)->items.size() == 2);
    CHECK(read.find(text)->items[1].kind == YamlValue::Kind::scalar);
    CHECK(read.find(text)->items[1].text == text);
  }
}
