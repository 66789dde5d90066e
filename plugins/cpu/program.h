// Region programs: a whole stage as one call.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "arena.h"
#include "conv.h"
#include "rows.h"

namespace lc_trt::cpu {

class Program {
  public:
    // Throws Error for operators that do not fit together; the message has the operator's place.
    Program(const lct_cpu_op* ops, int count, int batch);

    struct Arguments {
        void* const* bindings;
        int binding_count;
        const float* thresholds;
        int threshold_count;
    };
    void run(Pool& pool, int first, int end, const Arguments& arguments);

    int64_t rows(int op) const;
    int64_t arena_bytes() const { return arena_.bytes(); }
    int size() const { return static_cast<int>(nodes_.size()); }

  private:
    // The rows that the results on a region read.
    struct Table {
        int region;  // operator
        int source;  // operator of the region that is read; -1: all pixels of a dense map
        bool halved;
        Window window;
        int piece;
        bool ready = false;
    };

    struct Node {
        lct_cpu_op op;
        std::unique_ptr<Conv> conv;
        Grid grid;  // of maps and regions
        ElementType type = ElementType::kF32;
        int channels = 0;
        int64_t stride = 0;         // bytes of a row
        int data = -1;              // pieces: rows of values
        int rows = -1, index = -1;  // of a region
        int marks = -1;             // of a map: see `convert_needed`
        int tables[kMaxSegments];   // of the inputs; -1: row by row
        int residual_table = -1;
        // Of the frame.
        const float* map = nullptr;
        int64_t count = -1;          // rows of a region
        bool converted = false;      // whether marks have been cleared
        std::vector<char> imported;  // by table
    };

    // program_build.cpp
    void build(int at, int batch);
    void build_map(int at, int batch);
    void build_region(int at, int batch);
    void build_conv(int at);
    void build_moving(int at);
    void build_output(int at);
    void add_results(int at, ElementType type, int channels);
    int table_for(int at, int source, const Window& window);
    void read(int at, int source);
    const Node& earlier(int at, int op) const;
    const Node& region_of(int at) const;

    // program.cpp
    void run_op(Pool::Lock& pool, int at, const Arguments& arguments);
    void run_region(int at, const Arguments& arguments);
    void run_conv(Pool::Lock& pool, int at);
    void run_restrict(Pool::Lock& pool, int at);
    void run_max_pool(Pool::Lock& pool, int at);
    void run_output(Pool::Lock& pool, int at, const Arguments& arguments);
    RowSource source(Pool::Lock& pool, int op, int table);
    const int32_t* table(Pool::Lock& pool, int number);
    void import(Pool::Lock& pool, Node& map, int number);
    RowTarget results(int at);
    int64_t count_of(const Node& node) const;
    int32_t* integers(int piece) const { return reinterpret_cast<int32_t*>(arena_.at(piece)); }

    std::vector<Node> nodes_;
    std::vector<Table> tables_;
    Arena arena_;
    const RowKernel& row_kernel_;
    mutable std::mutex mutex_;
    int next_ = 0;
};

}  // namespace lc_trt::cpu
