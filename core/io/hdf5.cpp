#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <hdf5.h>
#include <limits>
#include <mutex>
#include <utility>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/io/hdf5.hpp"

namespace genretree {
namespace {

std::recursive_mutex library_mutex;
using Lock = std::lock_guard<std::recursive_mutex>;

/// Owns one HDF5 identifier.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle(hid_t id, Close close) : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  operator hid_t() const { return id_; }
  bool valid() const { return id_ >= 0; }

 private:
  hid_t id_;
  Close close_;
};

/// The innermost reason of the last failure, e.g. "No space left on device".
std::string last_reason() {
  std::string reason;
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_DOWNWARD,
      [](unsigned, const H5E_error2_t* entry, void* text) -> herr_t {
        if (entry->desc) *static_cast<std::string*>(text) = entry->desc;
        return 0;
      },
      &reason);
  return reason.empty() ? "unknown reason" : reason;
}

template <class T>
Handle type_of() {
  if constexpr (std::is_same_v<T, std::string>) {
    Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
  } else {
    hid_t native = H5I_INVALID_HID;
    if constexpr (std::is_same_v<T, float>) native = H5T_NATIVE_FLOAT;
    if constexpr (std::is_same_v<T, double>) native = H5T_NATIVE_DOUBLE;
    if constexpr (std::is_same_v<T, std::int32_t>) native = H5T_NATIVE_INT32;
    if constexpr (std::is_same_v<T, std::int64_t>) native = H5T_NATIVE_INT64;
    if constexpr (std::is_same_v<T, std::uint64_t>) native = H5T_NATIVE_UINT64;
    return Handle(H5Tcopy(native), H5Tclose);
  }
}

std::vector<std::size_t> shape_of(hid_t space) {
  const int rank = H5Sget_simple_extent_ndims(space);
  std::vector<hsize_t> extents(static_cast<std::size_t>(std::max(rank, 0)));
  H5Sget_simple_extent_dims(space, extents.data(), nullptr);
  return {extents.begin(), extents.end()};
}

/// How many values a shape has; the largest number there is if they are more.
std::size_t elements(const std::vector<std::size_t>& shape) {
  std::size_t count = 1;
  for (const std::size_t extent : shape)
    if (__builtin_mul_overflow(count, extent, &count)) return std::numeric_limits<std::size_t>::max();
  return count;
}

/// False if a data set says that it has more values than it stores: a damaged file, which would take all memory. What
/// is stored in chunks may be compressed, or not be there where nothing was ever written; so that it must only be no
/// larger than its file could become. (Deflate makes nothing smaller than by a factor of 1032.)
bool is_as_large_as_it_says(hid_t file, hid_t dataset, std::size_t count, std::size_t bytes_each) {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, bytes_each, &bytes)) return false;
  const Handle creation(H5Dget_create_plist(dataset), H5Pclose);
  if (H5Pget_layout(creation) != H5D_CHUNKED) return bytes <= H5Dget_storage_size(dataset);
  constexpr std::size_t largest_factor = 2048;
  hsize_t file_size = 0;
  return H5Fget_filesize(file, &file_size) >= 0 && bytes / largest_factor <= file_size;
}

/// Text without the zeros or blanks that fixed-length strings are filled with.
std::string trimmed(const char* text, std::size_t length) {
  std::string result(text, strnlen(text, length));
  while (!result.empty() && result.back() == ' ') result.pop_back();
  return result;
}

/// Reads a data set or attribute of any string type through `read(memory type, buffer)`.
template <class Read>
std::vector<std::string> read_strings(hid_t file_type, hid_t space, std::size_t count, Read read) {
  std::vector<std::string> values(count);
  if (count == 0) return values;
  if (H5Tis_variable_str(file_type) > 0) {
    Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5Tget_cset(file_type));
    std::vector<char*> texts(count);
    if (read(type, texts.data()) < 0) return {};
    for (std::size_t i = 0; i < count; ++i) values[i] = texts[i] ? texts[i] : "";
    H5Dvlen_reclaim(type, space, H5P_DEFAULT, texts.data());
  } else {
    const std::size_t length = H5Tget_size(file_type);
    std::vector<char> texts(count * length);
    if (read(file_type, texts.data()) < 0) return {};
    for (std::size_t i = 0; i < count; ++i) values[i] = trimmed(&texts[i * length], length);
  }
  return values;
}

std::vector<const char*> pointers(std::span<const std::string> texts) {
  std::vector<const char*> result;
  for (const std::string& text : texts) result.push_back(text.c_str());
  return result;
}

}  // namespace

struct Hdf5File::State {
  std::filesystem::path path;
  Handle file;
  bool in_memory;  ///< a new file, which close() writes to the disk

  Handle open_object(const std::string& name) const {
    Handle object(H5Oopen(file, name.c_str(), H5P_DEFAULT), H5Oclose);
    if (!object.valid()) reject("{} has no object '{}'", path.string(), name);
    return object;
  }
};

Hdf5File::Hdf5File(std::shared_ptr<State> state, std::string root) : state_(std::move(state)), root_(std::move(root)) {}
Hdf5File::Hdf5File(Hdf5File&&) noexcept = default;
Hdf5File& Hdf5File::operator=(Hdf5File&&) noexcept = default;
Hdf5File::~Hdf5File() {
  const Lock lock(library_mutex);
  state_.reset();
}

Hdf5File Hdf5File::create(const std::filesystem::path& path) {
  const Lock lock(library_mutex);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  // in memory until close(): a library that meets a full disk keeps the file half open and crashes at the end of the
  // process
  constexpr std::size_t memory_step = 1 << 20;
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_fapl_core(access, memory_step, false);
  Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access), H5Fclose);
  if (!file.valid()) fail("cannot create {}: {}", path.string(), last_reason());
  return Hdf5File(std::shared_ptr<State>(new State{path, std::move(file), true}), "");
}

Hdf5File Hdf5File::open(const std::filesystem::path& path) {
  const Lock lock(library_mutex);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  if (!std::filesystem::exists(path)) reject("{} does not exist", path.string());
  Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file.valid()) {
    const std::string reason = last_reason();
    const bool is_locked = reason.find("lock file") != std::string::npos;
    reject("cannot open {} as HDF5: {}{}", path.string(), reason,
           is_locked ? ". If it lies on a network file system without locks, set HDF5_USE_FILE_LOCKING=FALSE" : "");
  }
  return Hdf5File(std::shared_ptr<State>(new State{path, std::move(file), false}), "");
}

Hdf5File Hdf5File::group(const std::string& name) const { return Hdf5File(state_, place_of(name)); }

std::string Hdf5File::place_of(const std::string& name) const {
  if (name == "/") return root_.empty() ? "/" : root_;
  return root_ + name;
}

void Hdf5File::close() {
  const Lock lock(library_mutex);
  if (!state_->file.valid()) return;
  const Handle file = std::move(state_->file);
  if (!state_->in_memory) return;
  const std::string path = state_->path.string();
  const ssize_t size = H5Fflush(file, H5F_SCOPE_GLOBAL) < 0 ? -1 : H5Fget_file_image(file, nullptr, 0);
  void* image = nullptr;  // the address of the memory that holds the file, which is written from where it is
  if (size < 0 || H5Fget_vfd_handle(file, H5P_DEFAULT, &image) < 0) fail("cannot write {}: {}", path, last_reason());
  Descriptor(path, O_WRONLY | O_CREAT | O_TRUNC).write({*static_cast<char**>(image), static_cast<std::size_t>(size)});
}

template <class T>
void Hdf5File::write(const std::string& name, std::span<const T> values, const std::vector<std::size_t>& shape) {
  const Lock lock(library_mutex);
  const std::string place = place_of(name);
  if (values.size() != elements(shape))
    fail("cannot write '{}' to {}: its shape has {} values, but {} are given", place, state_->path.string(),
         elements(shape), values.size());
  const std::vector<hsize_t> extents(shape.begin(), shape.end());
  const Handle space(extents.empty() ? H5Screate(H5S_SCALAR)
                                     : H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr),
                     H5Sclose);
  const Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(links, 1);
  const Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_obj_track_times(creation, 0);  // equal contents make equal files, whenever they are written
  const Handle type = type_of<T>();
  const Handle dataset(H5Dcreate2(state_->file, place.c_str(), type, space, links, creation, H5P_DEFAULT), H5Dclose);
  herr_t status = dataset.valid() ? 0 : -1;
  if (status >= 0 && !values.empty()) {
    if constexpr (std::is_same_v<T, std::string>)
      status = H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers(values).data());
    else
      status = H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  }
  if (status < 0) fail("cannot write '{}' to {}: {}", place, state_->path.string(), last_reason());
}

template <class T>
Hdf5Array<T> Hdf5File::read(const std::string& name) const {
  const Lock lock(library_mutex);
  const std::string place = place_of(name);
  const Handle dataset(H5Dopen2(state_->file, place.c_str(), H5P_DEFAULT), H5Dclose);
  if (!dataset.valid()) reject("{} has no data set '{}'", state_->path.string(), place);
  const Handle space(H5Dget_space(dataset), H5Sclose);
  const Handle file_type(H5Dget_type(dataset), H5Tclose);
  Hdf5Array<T> array{shape_of(space), {}};
  const std::size_t count = elements(array.shape);
  if (!is_as_large_as_it_says(state_->file, dataset, count, H5Tget_size(file_type)))
    reject("'{}' in {} says that it has more values than it stores. The file is damaged; make it again", place,
           state_->path.string());
  const bool is_text = H5Tget_class(file_type) == H5T_STRING;
  if (is_text != std::is_same_v<T, std::string>)
    reject("'{}' in {} holds {}, but {} is needed", place, state_->path.string(), is_text ? "text" : "numbers",
           is_text ? "numbers" : "text");
  bool complete = true;
  if constexpr (std::is_same_v<T, std::string>) {
    array.values = read_strings(file_type, space, count, [&](hid_t type, void* buffer) {
      return H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, buffer);
    });
    complete = array.values.size() == count;
  } else {
    array.values.resize(count);
    complete = count == 0 || H5Dread(dataset, type_of<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, array.values.data()) >= 0;
  }
  if (!complete)
    reject("cannot read '{}' of {}: {}. The file is damaged; make it again", place, state_->path.string(),
           last_reason());
  return array;
}

template <class T>
void Hdf5File::set_attribute(const std::string& name, const std::string& attribute, const T& value) {
  const Lock lock(library_mutex);
  const std::string place = place_of(name);
  const Handle object = state_->open_object(place);
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle type = type_of<T>();
  const Handle created(H5Acreate2(object, attribute.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  herr_t status = created.valid() ? 0 : -1;
  if (status >= 0) {
    if constexpr (std::is_same_v<T, std::string>) {
      const char* text = value.c_str();
      status = H5Awrite(created, type, &text);
    } else {
      status = H5Awrite(created, type, &value);
    }
  }
  if (status < 0)
    fail("cannot write the attribute '{}' of '{}' to {}: {}", attribute, place, state_->path.string(), last_reason());
}

template <class T>
std::vector<T> Hdf5File::attribute_list(const std::string& name, const std::string& attribute) const {
  const Lock lock(library_mutex);
  const std::string place = place_of(name);
  const Handle object = state_->open_object(place);
  const Handle opened(H5Aopen(object, attribute.c_str(), H5P_DEFAULT), H5Aclose);
  if (!opened.valid()) reject("'{}' in {} has no attribute '{}'", place, state_->path.string(), attribute);
  const Handle space(H5Aget_space(opened), H5Sclose);
  const Handle file_type(H5Aget_type(opened), H5Tclose);
  const std::size_t count = elements(shape_of(space));
  constexpr std::size_t most = 1 << 20;  // far more than any attribute has; a damaged one may say anything
  if (count > most)
    reject("the attribute '{}' of '{}' in {} says that it has {} values. The file is damaged; make it again", attribute,
           place, state_->path.string(), count);
  if (count == 0) return {};  // numpy gives an empty list of texts the type of numbers
  const bool is_text = H5Tget_class(file_type) == H5T_STRING;
  if (is_text != std::is_same_v<T, std::string>)
    reject("the attribute '{}' of '{}' in {} holds {}, but {} is needed", attribute, place, state_->path.string(),
           is_text ? "text" : "a number", is_text ? "a number" : "text");
  std::vector<T> values;
  if constexpr (std::is_same_v<T, std::string>) {
    values =
        read_strings(file_type, space, count, [&](hid_t type, void* buffer) { return H5Aread(opened, type, buffer); });
  } else {
    values.resize(count);
    if (count && H5Aread(opened, type_of<T>(), values.data()) < 0) values.clear();
  }
  if (values.size() != count)
    reject("cannot read the attribute '{}' of '{}' in {}", attribute, place, state_->path.string());
  return values;
}

template <class T>
T Hdf5File::attribute(const std::string& name, const std::string& attribute) const {
  std::vector<T> values = attribute_list<T>(name, attribute);
  if (values.size() != 1)
    reject("the attribute '{}' of '{}' in {} has {} values, but one is needed", attribute, place_of(name),
           path().string(), values.size());
  return std::move(values.front());
}

bool Hdf5File::has_attribute(const std::string& name, const std::string& attribute) const {
  const Lock lock(library_mutex);
  return contains(name) && H5Aexists(state_->open_object(place_of(name)), attribute.c_str()) > 0;
}

bool Hdf5File::contains(const std::string& name) const {
  const Lock lock(library_mutex);
  const std::string place = place_of(name);
  if (place == "/") return true;
  // every link on the way must be asked for, else the library calls it an error
  for (std::size_t slash = place.find('/', 1);; slash = place.find('/', slash + 1)) {
    if (H5Lexists(state_->file, place.substr(0, slash).c_str(), H5P_DEFAULT) <= 0) return false;
    if (slash == std::string::npos) return true;
  }
}

bool Hdf5File::is_group(const std::string& name) const {
  const Lock lock(library_mutex);
  return contains(name) && H5Iget_type(state_->open_object(place_of(name))) == H5I_GROUP;
}

std::vector<std::string> Hdf5File::members(const std::string& group) const {
  const Lock lock(library_mutex);
  const Handle object = state_->open_object(place_of(group));
  std::vector<std::string> names;
  H5Literate(
      object, H5_INDEX_NAME, H5_ITER_INC, nullptr,
      [](hid_t, const char* member, const H5L_info_t*, void* list) -> herr_t {
        static_cast<std::vector<std::string>*>(list)->emplace_back(member);
        return 0;
      },
      &names);
  return names;
}

const std::filesystem::path& Hdf5File::path() const { return state_->path; }

std::string hdf5_version() {
  const Lock lock(library_mutex);
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return fmt::format("{}.{}.{}", major, minor, release);
}

#define GENRETREE_INSTANTIATE(T)                                                                             \
  template void Hdf5File::write<T>(const std::string&, std::span<const T>, const std::vector<std::size_t>&); \
  template Hdf5Array<T> Hdf5File::read<T>(const std::string&) const;                                         \
  template void Hdf5File::set_attribute<T>(const std::string&, const std::string&, const T&);                \
  template T Hdf5File::attribute<T>(const std::string&, const std::string&) const;                           \
  template std::vector<T> Hdf5File::attribute_list<T>(const std::string&, const std::string&) const;
GENRETREE_INSTANTIATE(float)
GENRETREE_INSTANTIATE(double)
GENRETREE_INSTANTIATE(std::int32_t)
GENRETREE_INSTANTIATE(std::int64_t)
GENRETREE_INSTANTIATE(std::uint64_t)
GENRETREE_INSTANTIATE(std::string)

}  // namespace genretree
