// From a sum to an output: bias, scale, residual, activation, store.
#pragma once

#include "kernels/region_conv/problem.cuh"

namespace lc_trt {

template <typename T>
class Epilogue {
  public:
    LC_TRT_DEVICE Epilogue(const ConvProblem& p, int count) : p_(p), count_(count) {}

    LC_TRT_DEVICE void store(int row, int channel, float sum) const {
        if (row >= count_ || channel >= p_.out_channels) return;
        const int64_t at = static_cast<int64_t>(row) * p_.out_channels + channel;
        const float residual =
            p_.residual == nullptr ? 0.0f : to_float(static_cast<const T*>(p_.residual)[at]);
        static_cast<T*>(p_.y)[at] = from_float<T>(finish(sum, channel, residual));
    }

    // Two neighbouring channels, the first of them even.
    LC_TRT_DEVICE void store_pair(int row, int channel, float first, float second) const {
        if (!p_.paired) {
            store(row, channel, first);
            store(row, channel + 1, second);
            return;
        }
        if (row >= count_ || channel >= p_.out_channels) return;
        const int64_t at = static_cast<int64_t>(row) * p_.out_channels + channel;
        Pair residual = {from_float<T>(0.0f), from_float<T>(0.0f)};
        if (p_.residual != nullptr) {
            residual = *reinterpret_cast<const Pair*>(static_cast<const T*>(p_.residual) + at);
        }
        *reinterpret_cast<Pair*>(static_cast<T*>(p_.y) + at) = {
            from_float<T>(finish(first, channel, to_float(residual.first))),
            from_float<T>(finish(second, channel + 1, to_float(residual.second)))};
    }

  private:
    struct alignas(2 * sizeof(T)) Pair {
        T first;
        T second;
    };

    LC_TRT_DEVICE float finish(float sum, int channel, float residual) const {
        const float bias = p_.bias_is_half ? to_float(static_cast<const __half*>(p_.bias)[channel])
                                           : static_cast<const float*>(p_.bias)[channel];
        const float value = residual + p_.residual_scale * (sum + bias);
        // Written so that a NaN stays, as in torch and ONNX Runtime; fmaxf would hide it.
        return p_.relu && value < 0.0f ? 0.0f : value;
    }

    const ConvProblem& p_;
    const int count_;
};

}  // namespace lc_trt
