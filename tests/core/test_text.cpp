#include "core/text.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

TEST_CASE("did you mean: near words are found, far ones are not guessed") {
  const std::vector<std::string> keys = {"epochs", "batch", "optimizer"};
  CHECK(closest("epoch", keys) == "epochs");
  CHECK(closest("epcohs", keys) == "epochs");  // two edits, a third of the word
  CHECK(closest("optimiser", keys) == "optimizer");
  CHECK(closest("learning", keys) == "");
  CHECK(closest("ba", keys) == "");  // of a short word one edit at most
  CHECK(did_you_mean("bach", keys) == " (did you mean 'batch'?)");
  CHECK(did_you_mean("xyz", keys) == "");
}

TEST_CASE("a text is cut between characters, not inside one") {
  CHECK(first_characters("§ 1 … 2", 5) == "§ 1 …");
  CHECK(first_characters("♯♭", 1) == "♯");
  CHECK(first_characters("♯♭", 0) == "");
  CHECK(first_characters("♯♭", 2) == "♯♭");
  CHECK(first_characters("short", 80) == "short");
}

TEST_CASE("numbers in messages read as people say them") {
  CHECK(count_of(1, "clip") == "1 clip");
  CHECK(count_of(0, "clip") == "0 clips");
  CHECK(duration(0.84) == "0.8 s");
  CHECK(duration(9.96) == "10 s");
  CHECK(duration(59.6) == "1 min 00 s");
  CHECK(duration(200) == "3 min 20 s");
  CHECK(duration(3600 + 5 * 60) == "1 h 05 min");
  CHECK(join(std::vector<std::string>{"a", "b"}) == "a, b");
  CHECK(join(std::vector<std::string>{}) == "");
}
