// Memory of a region program's temporaries: places are chosen when it is built.
#pragma once

#include <vector>

#include "common.h"

namespace lc_trt::cpu {

// Addresses for the largest regions possible are reserved at once; the system supplies memory for
// a page when it is first written. So nothing is allocated during a run, and a program takes as
// much memory as its largest regions so far need.
class Arena {
  public:
    Arena() = default;
    ~Arena();
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    // Adds a piece of at most `bytes`, and returns its number.
    int add(int64_t bytes);
    // Says that operator `op` writes or reads a piece. Pieces share memory if their ranges of
    // operators do not overlap.
    void use(int piece, int op);
    // Chooses the places. No piece can be added any more.
    void place();

    // A piece of which this run uses `bytes`. Contents are kept until the end of its range.
    uint8_t* open(int piece, int64_t bytes);
    uint8_t* at(int piece) const;
    int64_t bytes() const { return size_; }

  private:
    struct Piece {
        int64_t bytes;
        int first, last;
        int64_t offset;
    };
    int64_t free_offset(const Piece& piece, const std::vector<const Piece*>& placed) const;

    std::vector<Piece> pieces_;
    uint8_t* memory_ = nullptr;
    int64_t size_ = 0;
};

}  // namespace lc_trt::cpu
