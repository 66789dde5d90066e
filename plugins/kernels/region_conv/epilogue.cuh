// The epilogue: bias, scales, residual, activation, store.
#pragma once

#include <type_traits>

#include "kernels/region_conv/problem.cuh"

namespace lc_trt {

// Accumulator types.
template <typename T>
using Sum = std::conditional_t<std::is_same_v<T, int8_t>, int32_t, float>;

template <typename T>
class Epilogue {
    static constexpr bool kCodes = std::is_same_v<T, int8_t>;

  public:
    // Values of adjacent channels that are shared by all rows.
    template <int n>
    struct Columns {
        int first;
        float scale[n];  // INT8 only
        float bias[n];
    };

    LC_TRT_DEVICE Epilogue(const ConvProblem& p, int count) : p_(p), count_(count) {}

    template <int n>
    LC_TRT_DEVICE Columns<n> columns(int first) const {
        static_assert(kMostNeighbours % n == 0, "whole runs of p.runs");
        Columns<n> c = {first, {}, {}};
        if (whole<n>(first)) {
            load<n>(first, c.scale, c.bias);
        } else {
#pragma unroll
            for (int i = 0; i < n; ++i) {
                if (first + i < p_.out_channels) load<1>(first + i, c.scale + i, c.bias + i);
            }
        }
        return c;
    }

    template <int n>
    LC_TRT_DEVICE void store(int row, const Columns<n>& c, const Sum<T> (&sum)[n]) const {
        if (row >= count_) return;
        const int64_t at = static_cast<int64_t>(row) * p_.out_channels + c.first;
        if (whole<n>(c.first)) {
            finish<n>(at, c.scale, c.bias, sum);
        } else {
#pragma unroll
            for (int i = 0; i < n; ++i) {
                if (c.first + i < p_.out_channels)
                    finish<1>(at + i, c.scale + i, c.bias + i, sum + i);
            }
        }
    }

  private:
    // Whether all n adjacent channels exist and can be moved at once.
    template <int n>
    LC_TRT_DEVICE bool whole(int first) const {
        return first < p_.out_channels && (n == 1 || p_.runs);
    }

    // An element type known at compile time, or, for INT8 inputs, at run time.
    template <typename Use>
    static LC_TRT_DEVICE void typed(ElementType type, const Use& use) {
        if constexpr (!kCodes) {
            use(T());
        } else if (type == ElementType::kInt8) {
            use(int8_t());
        } else if (type == ElementType::kFloat16) {
            use(__half());
        } else if (type == ElementType::kBFloat16) {
            use(__nv_bfloat16());
        } else {
            use(float());
        }
    }

    template <typename Element, int n>
    static LC_TRT_DEVICE void read(const void* from, int64_t at, float* value) {
        const auto run =
            *reinterpret_cast<const Run<Element, n>*>(static_cast<const Element*>(from) + at);
#pragma unroll
        for (int i = 0; i < n; ++i) value[i] = to_float(run.at[i]);
    }

    template <int n>
    LC_TRT_DEVICE void load(int channel, float* scale, float* bias) const {
        if constexpr (kCodes) {
            read<float, n>(p_.scale, channel, scale);
            read<float, n>(p_.bias, channel, bias);
        } else if (p_.bias_is_full) {
            read<float, n>(p_.bias, channel, bias);
        } else {
            read<T, n>(p_.bias, channel, bias);
        }
    }

    template <int n>
    LC_TRT_DEVICE void finish(int64_t at, const float* scale, const float* bias,
                              const Sum<T>* sum) const {
        float residual[n] = {};
        if (p_.residual != nullptr) {
            typed(p_.residual_type,
                  [&](auto element) { read<decltype(element), n>(p_.residual, at, residual); });
        }
        float value[n];
#pragma unroll
        for (int i = 0; i < n; ++i) {
            if constexpr (kCodes) {
                // Explicit fmaf instead of compiler contraction: same results everywhere.
                const float product = fmaf(static_cast<float>(sum[i]), scale[i], bias[i]);
                value[i] = fmaf(p_.residual_scale, product, p_.residual_factor * residual[i]);
            } else {
                value[i] = residual[i] + p_.residual_scale * (sum[i] + bias[i]);
            }
            // Propagates NaN, as torch and ONNX Runtime do; fmaxf would not.
            if (p_.relu && value[i] < 0.0f) value[i] = 0.0f;
        }
        typed(p_.output_type, [&](auto element) {
            using Element = decltype(element);
            Run<Element, n> run;
#pragma unroll
            for (int i = 0; i < n; ++i) run.at[i] = from_float<Element>(value[i]);
            *reinterpret_cast<Run<Element, n>*>(static_cast<Element*>(p_.y) + at) = run;
        });
    }

    const ConvProblem& p_;
    const int count_;
};

}  // namespace lc_trt
