#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <set>

#include "core/error.hpp"
#include "core/text.hpp"
#include "models/learned_tree.hpp"

namespace genretree {
namespace {

/// S, [genres, genres].
std::vector<double> similarities(std::span<const std::uint32_t> confusion, const std::vector<std::string>& genres) {
  const std::size_t count = genres.size();
  if (count < 2 || confusion.size() != count * count)
    reject("a tree over {} cannot be learned from a confusion matrix of {} entries", count_of(count, "genre"),
           confusion.size());
  std::vector<double> shares;
  for (std::size_t a = 0; a < count; ++a) {
    const std::span<const std::uint32_t> row = confusion.subspan(a * count, count);
    double clips = 0;
    for (const std::uint32_t entry : row) clips += entry;
    if (clips == 0)
      reject("no validation clip is of the genre '{}', so that nothing says where in a tree it belongs", genres[a]);
    for (const std::uint32_t entry : row) shares.push_back(entry / clips);
  }
  std::vector<double> similarity(count * count);
  for (std::size_t a = 0; a < count; ++a)
    for (std::size_t b = 0; b < count; ++b)
      similarity[a * count + b] = (shares[a * count + b] + shares[b * count + a]) / 2;
  return similarity;
}

/// A genre, or two groups that became one.
struct Group {
  std::vector<std::size_t> genres;  ///< ascending
  std::vector<std::size_t> halves;  ///< none, or the places of the two groups
  double similarity = 0;            ///< of the halves
};

double mean_similarity(const std::vector<double>& similarity, std::size_t genres, const Group& a, const Group& b) {
  double sum = 0;
  for (const std::size_t first : a.genres)
    for (const std::size_t second : b.genres) sum += similarity[first * genres + second];
  return sum / static_cast<double>(a.genres.size() * b.genres.size());
}

Group united(const std::vector<Group>& groups, std::size_t first, std::size_t second, double similarity) {
  Group group{groups[first].genres, {first, second}, similarity};
  group.genres.insert(group.genres.end(), groups[second].genres.begin(), groups[second].genres.end());
  std::ranges::sort(group.genres);
  return group;
}

/// The genres and, after them, every group that arises, the root last.
std::vector<Group> cluster(const std::vector<double>& similarity, std::size_t genres) {
  constexpr double equal = 1e-12;  // sums of shares in another order differ by less
  std::vector<Group> groups;
  std::vector<std::size_t> open;  // groups that are part of no other, by their first genre
  for (std::size_t genre = 0; genre < genres; ++genre) {
    groups.push_back({{genre}, {}, 0});
    open.push_back(genre);
  }
  while (open.size() > 1) {
    std::size_t first = 0, second = 1;
    double best = -1;
    for (std::size_t i = 0; i < open.size(); ++i)
      for (std::size_t j = i + 1; j < open.size(); ++j) {
        const double value = mean_similarity(similarity, genres, groups[open[i]], groups[open[j]]);
        if (value > best + equal) best = value, first = i, second = j;
      }
    groups.push_back(united(groups, open[first], open[second], best));
    open[first] = groups.size() - 1;
    open.erase(open.begin() + static_cast<std::ptrdiff_t>(second));
  }
  return groups;
}

/// Names of nodes as a file may hold them, each only once.
class Names {
 public:
  explicit Names(const std::vector<std::string>& genres) : genres_(genres), taken_(genres.begin(), genres.end()) {}

  std::string of(const Group& group) {
    if (group.genres.size() == genres_.size()) return unused("all");
    const std::string& first = genres_[group.genres[0]];
    if (group.genres.size() > 3) return unused(allowed(fmt::format("{}-and-{}-more", first, group.genres.size() - 1)));
    std::vector<std::string> names;
    for (const std::size_t genre : group.genres) names.push_back(genres_[genre]);
    return unused(allowed(join(names, "-")));
  }

 private:
  static std::string allowed(std::string name) {
    for (char& c : name)
      if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.') c = '_';
    return std::isalnum(static_cast<unsigned char>(name[0])) ? name : "n" + name;
  }

  std::string unused(const std::string& name) {
    std::string free = name;
    for (int number = 2; !taken_.insert(free).second; ++number) free = fmt::format("{}.{}", name, number);
    return free;
  }

  const std::vector<std::string>& genres_;
  std::set<std::string> taken_;
};

}  // namespace

LearnedTree learn_tree(std::span<const std::uint32_t> confusion, const std::vector<std::string>& genres,
                       std::uint32_t epochs) {
  const std::vector<Group> groups = cluster(similarities(confusion, genres), genres.size());
  Names names(genres);
  std::vector<std::string> name_of(groups.size());
  std::ranges::copy(genres, name_of.begin());

  std::vector<std::size_t> level = {groups.size() - 1};  // groups whose nodes are next
  name_of[level.front()] = names.of(groups.back());
  LearnedTree learned;
  std::vector<TreeNode> nodes;
  for (std::size_t i = 0; i < level.size(); ++i) {
    const Group& group = groups[level[i]];
    for (const std::size_t half : group.halves) {
      if (groups[half].halves.empty()) continue;
      name_of[half] = names.of(groups[half]);
      level.push_back(half);
    }
    nodes.push_back({name_of[level[i]], epochs, {name_of[group.halves[0]], name_of[group.halves[1]]}});
    learned.similarity.push_back(group.similarity);
  }
  learned.tree = GenreTree(std::move(nodes), genres);
  return learned;
}

}  // namespace genretree
