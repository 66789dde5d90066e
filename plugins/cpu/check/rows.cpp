// Selection, tables, gathering, scattering and pooling with positions that may be anything.
#include "check.h"

namespace check {
namespace {

int64_t position(const lct_cpu_grid& g, int channels, int layout, int64_t pixel, int channel) {
    const int64_t plane = int64_t{g.h} * g.w;
    return layout == LCT_CPU_NHWC ? pixel * channels + channel
                                  : (pixel / plane * channels + channel) * plane + pixel % plane;
}

void check_maps(Random& random, lct_cpu_pool* pool, const lct_cpu_grid& grid,
                const std::vector<int32_t>& rows) {
    const int64_t pixels = int64_t{grid.n} * grid.h * grid.w;
    const int layout = random.between(LCT_CPU_NHWC, LCT_CPU_NCHW);
    const int channels = random.between(1, 150);
    std::vector<float> map(pixels * channels);
    for (float& value : map) value = static_cast<float>(random.between(-300, 300)) / 2;
    Rows out(random.between(LCT_CPU_F32, LCT_CPU_U8), rows.size(), channels);
    expect(lct_cpu_gather(pool, grid, map.data(), layout, channels, rows.data(), rows.size(), 0.5f,
                          out.data(), out.type, out.stride) == 0,
           "gathering");
    std::vector<float> back(map);
    expect(lct_cpu_scatter(pool, grid, out.data(), out.type, out.stride, rows.data(), rows.size(),
                           2.0f, back.data(), layout, channels) == 0,
           "scattering");
    for (size_t r = 0; r < rows.size(); ++r) {
        const bool exists = rows[r] >= 0 && rows[r] < pixels;
        for (int c = 0; c < channels; ++c) {
            double expected = 0;
            if (exists) {
                const int64_t at = position(grid, channels, layout, rows[r], c);
                expected = 0.5 * map[at];
                if (out.type == LCT_CPU_BF16)
                    expected = rounded_to_bf16(static_cast<float>(expected));
                if (out.type == LCT_CPU_S8)
                    expected = std::fmin(std::fmax(std::nearbyint(expected), -128), 127);
                if (out.type == LCT_CPU_U8)
                    expected = std::fmin(std::fmax(std::nearbyint(expected), 0), 255);
                expect(back[at] == 2 * expected, "a scattered value");
            }
            expect(out.get(r, c) == expected, "a gathered value");
        }
    }
}

void check_pool(Random& random, lct_cpu_pool* pool, const std::vector<int32_t>& table, int taps,
                int64_t count) {
    Rows rows(random.between(LCT_CPU_F32, LCT_CPU_U8), random.between(0, 50),
              random.between(1, 90));
    rows.fill(random);
    Rows out(rows.type, count, rows.channels);
    expect(lct_cpu_max_pool(pool, rows.data(), rows.count, rows.type, rows.stride, rows.channels,
                            table.data(), count, taps, out.data(), out.stride) == 0,
           "pooling");
    for (int64_t r = 0; r < count; ++r) {
        for (int c = 0; c < rows.channels; ++c) {
            double most = -1e9;
            for (int t = 0; t < taps; ++t) {
                const int64_t row = table[r * taps + t];
                most = std::fmax(most, row >= 0 && row < rows.count ? rows.get(row, c) : 0.0);
            }
            expect(out.get(r, c) == most, "a maximum");
        }
    }
}

}  // namespace

void check_rows(Random& random, lct_cpu_pool* pool) {
    const lct_cpu_grid grid = {random.between(1, 2), random.between(1, 20), random.between(1, 40)};
    const int64_t pixels = int64_t{grid.n} * grid.h * grid.w;
    std::vector<float> score(pixels);
    for (float& value : score) value = random.chance(3) ? std::nanf("") : random.real();
    std::vector<uint8_t> mask(pixels);
    for (uint8_t& value : mask) value = random.chance(80);
    std::vector<int32_t> rows(pixels), index(pixels);
    const int64_t count = lct_cpu_select(grid, score.data(), 0.3f, mask.data(), nullptr, 0,
                                         rows.data(), index.data());
    int64_t expected = 0;
    for (int64_t p = 0; p < pixels; ++p) {
        const bool hard = !(score[p] > 0.3f) && mask[p] != 0;
        expect(index[p] == (hard ? expected : -1), "an index");
        if (hard) expect(rows[expected++] == p, "a row");
    }
    expect(count == expected, "the number of rows");
    rows.resize(count);
    rows.shrink_to_fit();
    check_maps(random, pool, grid, random.chance(50) ? rows : random_table(random, 40, pixels));
    const std::vector<int32_t> any = random_table(random, 30, pixels);
    const int kh = 2 * random.between(0, 3) + 1, kw = 2 * random.between(0, 3) + 1;
    std::vector<int32_t> table(any.size() * kh * kw);
    expect(lct_cpu_neighbours(grid, any.data(), any.size(), index.data(), kh, kw,
                              random.between(1, 30), random.between(1, 30), table.data()) == 0,
           "neighbours");
    for (int32_t row : table) expect(row >= -1 && row < count, "a neighbour");
    check_pool(random, pool, table, kh * kw, any.size());
    std::vector<int32_t> parents(any.size());
    expect(lct_cpu_parents(grid, any.data(), any.size(), nullptr, parents.data()) == 0, "parents");
    const int64_t coarse = int64_t{grid.n} * ((grid.h + 1) / 2) * ((grid.w + 1) / 2);
    for (int32_t row : parents) expect(row >= -1 && row < coarse, "a parent");
}

}  // namespace check
