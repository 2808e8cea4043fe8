// HDF5 files through handles that close themselves. The library is not thread-safe, so every call here takes one lock.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace genretree {

/// A data set read into memory.
template <class T>
struct Hdf5Array {
  std::vector<std::size_t> shape;  ///< empty for a scalar
  std::vector<T> values;           ///< row-major
};

/// An open HDF5 file. T below is float, double, std::int32_t, std::int64_t, std::uint64_t or std::string
/// (variable-length UTF-8; fixed-length is read too). Group names in paths are made as needed: write("/a/b", …). Errors
/// name the file and the object.
class Hdf5File {
 public:
  /// A new file at `path` (use it inside write_whole).
  static Hdf5File create(const std::filesystem::path& path);
  /// An existing file, read-only. InputError if it is missing, cut off or no HDF5.
  static Hdf5File open(const std::filesystem::path& path);
  ~Hdf5File();
  Hdf5File(Hdf5File&&) noexcept;
  Hdf5File& operator=(Hdf5File&&) noexcept;

  /// The same file seen from one of its groups: "/" and all names stand below it. Valid as long as the file is open.
  Hdf5File group(const std::string& name) const;

  /// A new file is held in memory until now: writes it to the disk and closes it. Error if it cannot be written (a full
  /// disk). Without close() nothing of a new file reaches the disk.
  void close();

  template <class T>
  void write(const std::string& name, std::span<const T> values, const std::vector<std::size_t>& shape);
  template <class T>
  void write(const std::string& name, const std::vector<T>& values) {
    write<T>(name, std::span<const T>(values), {values.size()});
  }
  template <class T>
  Hdf5Array<T> read(const std::string& name) const;

  /// Attributes of the object `name` ("/" is the file itself), scalar.
  template <class T>
  void set_attribute(const std::string& name, const std::string& attribute, const T& value);
  template <class T>
  T attribute(const std::string& name, const std::string& attribute) const;
  /// A one-dimensional attribute (a scalar is a list of one).
  template <class T>
  std::vector<T> attribute_list(const std::string& name, const std::string& attribute) const;
  bool has_attribute(const std::string& name, const std::string& attribute) const;

  bool contains(const std::string& name) const;
  bool is_group(const std::string& name) const;
  /// Names of the members of a group, in alphabetical order.
  std::vector<std::string> members(const std::string& group) const;
  const std::filesystem::path& path() const;

 private:
  struct State;
  Hdf5File(std::shared_ptr<State> state, std::string root);
  /// The full name of an object.
  std::string place_of(const std::string& name) const;
  std::shared_ptr<State> state_;
  std::string root_;  ///< "", or the group that is seen as the file
};

/// "1.10.8", of the library that is loaded.
std::string hdf5_version();

}  // namespace genretree
