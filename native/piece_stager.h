// PieceStager: the memory into which one loading thread puts source rows, and their way into the weights arena.
#pragma once

#include <cstddef>
#include <cstdint>

#include "status.h"

namespace moesaic {

struct Piece;
struct WeightTarget;

// Room for the largest piece of a load.
struct StagingBytes {
  int64_t values = 0;
  int64_t scales = 0;
};

// Used by one thread, which has entered the device.
class PieceStager {
 public:
  struct Room {
    std::byte* values;
    std::byte* scales;
  };

  virtual ~PieceStager() = default;
  // Where the rows of the next piece go. Waits until what was there before has been packed.
  virtual StatusOr<Room> begin() = 0;
  // Packs the rows in the room that begin gave last; may return before that is done.
  virtual Status place(const WeightTarget& target, const Piece& piece) = 0;
  // Waits until every piece is in place.
  virtual Status finish() = 0;
};

}  // namespace moesaic
