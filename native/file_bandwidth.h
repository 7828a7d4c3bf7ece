// How fast files read: the bound of a load.
#pragma once

#include <cstdint>
#include <vector>

#include "loader.h"
#include "status.h"

namespace moesaic {

// Bytes per second that `num_threads` threads read of all the files together, in large pieces and file order, into memory of
// their own. Blocks. Errors: as PlannedFile::open and read.
StatusOr<double> measure_file_reads(const std::vector<LoadPlan::File>& files, int32_t num_threads);

}  // namespace moesaic
