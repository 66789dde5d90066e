#include "arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#endif

namespace lc_trt::cpu {

Arena::~Arena() {
    if (memory_ == nullptr) return;
    ASAN_UNPOISON_MEMORY_REGION(memory_, size_);
    munmap(memory_, size_);
}

int Arena::add(int64_t bytes) {
    // One line between pieces: an address sanitizer sees what leaves a piece.
    pieces_.push_back({round_up(bytes, kLine) + kLine, -1, -1, 0});
    return static_cast<int>(pieces_.size()) - 1;
}

void Arena::use(int piece, int op) {
    Piece& p = pieces_[piece];
    p.first = p.first < 0 ? op : std::min(p.first, op);
    p.last = std::max(p.last, op);
}

int64_t Arena::free_offset(const Piece& piece, const std::vector<const Piece*>& placed) const {
    std::vector<const Piece*> others;
    for (const Piece* other : placed) {
        if (other->first <= piece.last && piece.first <= other->last) others.push_back(other);
    }
    std::sort(others.begin(), others.end(),
              [](const Piece* a, const Piece* b) { return a->offset < b->offset; });
    int64_t offset = 0;
    for (const Piece* other : others) {
        if (offset + piece.bytes <= other->offset) break;
        offset = std::max(offset, other->offset + other->bytes);
    }
    return offset;
}

void Arena::place() {
    std::vector<Piece*> largest_first;
    for (Piece& piece : pieces_) largest_first.push_back(&piece);
    std::stable_sort(largest_first.begin(), largest_first.end(),
                     [](const Piece* a, const Piece* b) { return a->bytes > b->bytes; });
    std::vector<const Piece*> placed;
    for (Piece* piece : largest_first) {
        piece->offset = free_offset(*piece, placed);
        placed.push_back(piece);
        size_ = std::max(size_, piece->offset + piece->bytes);
    }
    if (size_ == 0) return;
    void* memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<uint8_t*>(memory);
    ASAN_POISON_MEMORY_REGION(memory_, size_);
}

uint8_t* Arena::open(int piece, int64_t bytes) {
    const Piece& p = pieces_[piece];
    ASAN_POISON_MEMORY_REGION(memory_ + p.offset, p.bytes);
    ASAN_UNPOISON_MEMORY_REGION(memory_ + p.offset, bytes);
    return memory_ + p.offset;
}

uint8_t* Arena::at(int piece) const { return memory_ + pieces_[piece].offset; }

}  // namespace lc_trt::cpu
