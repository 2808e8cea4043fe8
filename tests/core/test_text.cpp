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

TEST_CASE("printable text is UTF-8 without control characters, whatever the bytes are") {
  const std::string bad = "\xEF\xBF\xBD";
  CHECK(printable("§ ♯ 🎵 é") == "§ ♯ 🎵 é");
  CHECK(printable("a\nb\x7f") == "a" + bad + "b" + bad);
  CHECK(printable("\xff"
                  "a\xc3") == bad + "a" + bad);                   // no first byte; cut off
  CHECK(printable("\xc0\xaf") == bad + bad);                      // overlong
  CHECK(printable("\xed\xa0\x80") == bad + bad + bad);            // a surrogate
  CHECK(printable("\xf4\x90\x80\x80") == bad + bad + bad + bad);  // above U+10FFFF
  CHECK(characters("§ ♯ 🎵 é") == 7);
}

TEST_CASE("fields of CSV are quoted where needed, texts are replaced everywhere, thousands are parted") {
  CHECK(csv_field("plain") == "plain");
  CHECK(csv_field("a, \"b\"") == "\"a, \"\"b\"\"\"");
  CHECK(csv_field("two\nlines") == "\"two\nlines\"");
  std::string text = "aXbX";
  replace_all(text, "X", "XX");
  CHECK(text == "aXXbXX");
  CHECK(thousands(999) == "999");
  CHECK(thousands(93510) == "93,510");
  CHECK(thousands(1234567) == "1,234,567");
}
