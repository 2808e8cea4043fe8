// Everything in which two backends can differ so that their results must not be mixed in silence.
#pragma once

#include <string>
#include <utility>

#include "kernels/ops.hpp"

namespace genretree::test {

inline constexpr std::pair<const char*, std::string BackendInfo::*> backend_fields[] = {
    {"backend", &BackendInfo::backend},     {"device", &BackendInfo::device},
    {"target", &BackendInfo::target},       {"algorithm", &BackendInfo::algorithm},
    {"precision", &BackendInfo::precision}, {"libraries", &BackendInfo::libraries}};

}  // namespace genretree::test
