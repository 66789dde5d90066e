#include <NvInferRuntime.h>
#include <dlfcn.h>

#include <cstring>
#include <memory>
#include <vector>

#include "harness/harness.h"
#include "harness/message.h"

using namespace nvinfer1;
using lc_trt::harness::message;

static_assert(sizeof(LctField) == sizeof(PluginField), "fields are passed as they are");

namespace {

// Stores a plugin's errors for lct_message().
class Logger : public ILogger, public ILoggerFinder {
  public:
    void log(Severity, const char* text) noexcept override { message() = text; }
    ILogger* findLogger() override { return this; }
};

// Constant dimension expressions: the sizes of one set of inputs.
class Value : public IDimensionExpr, public apiv::VDimensionExpr {
  public:
    explicit Value(int64_t value) : value_(value) { mImpl = this; }
    bool isConstant() const noexcept override { return true; }
    int64_t getConstantValue() const noexcept override { return value_; }
    bool isSizeTensor() const noexcept override { return false; }

  private:
    int64_t value_;
};

class Builder : public IExprBuilder, public apiv::VExprBuilder {
  public:
    Builder() { mImpl = this; }
    IDimensionExpr const* constant(int64_t value) noexcept override {
        values_.push_back(std::make_unique<Value>(value));
        return values_.back().get();
    }
    IDimensionExpr const* operation(DimensionOperation op, IDimensionExpr const& a,
                                    IDimensionExpr const& b) noexcept override {
        if (op != DimensionOperation::kPROD) return nullptr;
        return constant(a.getConstantValue() * b.getConstantValue());
    }
    IDimensionExpr const* declareSizeTensor(int32_t, IDimensionExpr const&,
                                            IDimensionExpr const&) noexcept override {
        return nullptr;
    }

  private:
    std::vector<std::unique_ptr<Value>> values_;
};

Logger g_logger;
std::vector<IPluginCreatorV3One*> g_creators;

int fail(const std::string& reason) {
    message() = reason;
    return -1;
}

IPluginCreatorV3One* creator_of(const char* name) {
    for (IPluginCreatorV3One* creator : g_creators) {
        if (std::strcmp(creator->getPluginName(), name) == 0) return creator;
    }
    fail(std::string("no creator is named ") + name);
    return nullptr;
}

int pass_on(const PluginFieldCollection* collection, const LctField** fields, int32_t* count) {
    if (collection == nullptr) return -1;
    *fields = reinterpret_cast<const LctField*>(collection->fields);
    *count = collection->nbFields;
    return 0;
}

IPluginV3* plugin_of(void* plugin) { return static_cast<IPluginV3*>(plugin); }

template <typename Capability>
Capability* capability(void* plugin, PluginCapabilityType type) {
    return static_cast<Capability*>(plugin_of(plugin)->getCapabilityInterface(type));
}

IPluginV3OneBuild* build_of(void* plugin) {
    return capability<IPluginV3OneBuild>(plugin, PluginCapabilityType::kBUILD);
}

IPluginV3OneRuntime* runtime_of(void* plugin) {
    return capability<IPluginV3OneRuntime>(plugin, PluginCapabilityType::kRUNTIME);
}

std::vector<PluginTensorDesc> tensors(const LctTensor* from, int32_t count) {
    std::vector<PluginTensorDesc> all(static_cast<size_t>(count));
    for (int32_t i = 0; i < count; ++i) {
        PluginTensorDesc& tensor = all[static_cast<size_t>(i)];
        tensor.type = static_cast<DataType>(from[i].type);
        tensor.format = static_cast<TensorFormat>(from[i].format);
        tensor.scale = 1.0f;
        tensor.dims.nbDims = from[i].rank;
        for (int32_t axis = 0; axis < from[i].rank; ++axis) {
            tensor.dims.d[axis] = from[i].sizes[axis];
        }
    }
    return all;
}

std::vector<DynamicPluginTensorDesc> dynamic_tensors(const LctTensor* from, int32_t count) {
    std::vector<DynamicPluginTensorDesc> all;
    for (const PluginTensorDesc& tensor : tensors(from, count)) {
        all.push_back({tensor, tensor.dims, tensor.dims, tensor.dims});
    }
    return all;
}

}  // namespace

int lct_plugins_open(const char* path, char* names, size_t bytes) {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return fail(dlerror());
    const auto creators = reinterpret_cast<IPluginCreatorInterface* const* (*)(int32_t&)>(
        dlsym(library, "getCreators"));
    const auto set_finder =
        reinterpret_cast<void (*)(ILoggerFinder*)>(dlsym(library, "setLoggerFinder"));
    if (creators == nullptr || set_finder == nullptr) {
        return fail(std::string(path) + " has no getCreators and setLoggerFinder");
    }
    set_finder(&g_logger);
    int32_t count = 0;
    IPluginCreatorInterface* const* all = creators(count);
    g_creators.clear();
    std::string list;
    for (int32_t i = 0; i < count; ++i) {
        g_creators.push_back(static_cast<IPluginCreatorV3One*>(all[i]));
        list += (i > 0 ? " " : "") + std::string(g_creators.back()->getPluginName());
    }
    if (list.size() >= bytes) return fail("the names do not fit");
    std::memcpy(names, list.c_str(), list.size() + 1);
    return 0;
}

int lct_plugin_create(const char* name, const LctField* fields, int32_t count, int32_t phase,
                      void** plugin) {
    IPluginCreatorV3One* creator = creator_of(name);
    if (creator == nullptr) return -1;
    const PluginFieldCollection collection = {count, reinterpret_cast<const PluginField*>(fields)};
    *plugin = creator->createPlugin(name, &collection, static_cast<TensorRTPhase>(phase));
    return *plugin != nullptr ? 0 : -1;
}

int lct_plugin_fields(const char* name, const LctField** fields, int32_t* count) {
    IPluginCreatorV3One* creator = creator_of(name);
    if (creator == nullptr) return -1;
    return pass_on(creator->getFieldNames(), fields, count);
}

int lct_plugin_clone(void* plugin, void** clone) {
    *clone = plugin_of(plugin)->clone();
    return *clone != nullptr ? 0 : -1;
}

int lct_plugin_destroy(void* plugin) {
    delete plugin_of(plugin);
    return 0;
}

int lct_plugin_serialise(void* plugin, const LctField** fields, int32_t* count) {
    return pass_on(runtime_of(plugin)->getFieldsToSerialize(), fields, count);
}

int lct_plugin_identity(void* plugin, const char** name, const char** version,
                        const char** name_space, const char** metadata) {
    auto* core = capability<IPluginV3OneCore>(plugin, PluginCapabilityType::kCORE);
    *name = core->getPluginName();
    *version = core->getPluginVersion();
    *name_space = core->getPluginNamespace();
    *metadata = build_of(plugin)->getMetadataString();
    return 0;
}

int lct_plugin_output_types(void* plugin, const int32_t* in, int32_t inputs, int32_t* out,
                            int32_t* outputs) {
    IPluginV3OneBuild* build = build_of(plugin);
    *outputs = build->getNbOutputs();
    static_assert(sizeof(DataType) == sizeof(int32_t), "types are passed as they are");
    return build->getOutputDataTypes(reinterpret_cast<DataType*>(out), *outputs,
                                     reinterpret_cast<const DataType*>(in), inputs);
}

int lct_plugin_output_shapes(void* plugin, const LctTensor* in, int32_t inputs, LctTensor* out,
                             int32_t outputs) {
    Builder builder;
    std::vector<DimsExprs> in_shapes(static_cast<size_t>(inputs));
    std::vector<DimsExprs> out_shapes(static_cast<size_t>(outputs));
    for (int32_t i = 0; i < inputs; ++i) {
        in_shapes[static_cast<size_t>(i)].nbDims = in[i].rank;
        for (int32_t axis = 0; axis < in[i].rank; ++axis) {
            in_shapes[static_cast<size_t>(i)].d[axis] = builder.constant(in[i].sizes[axis]);
        }
    }
    const int32_t failed = build_of(plugin)->getOutputShapes(in_shapes.data(), inputs, nullptr, 0,
                                                             out_shapes.data(), outputs, builder);
    for (int32_t i = 0; failed == 0 && i < outputs; ++i) {
        const DimsExprs& shape = out_shapes[static_cast<size_t>(i)];
        out[i].rank = shape.nbDims;
        for (int32_t axis = 0; axis < shape.nbDims; ++axis) {
            out[i].sizes[axis] = shape.d[axis]->getConstantValue();
        }
    }
    return failed;
}

int lct_plugin_supports(void* plugin, int32_t at, const LctTensor* all, int32_t inputs,
                        int32_t outputs, int32_t* supported) {
    // Entries after `at` are invalid, as TensorRT specifies; results must not depend on them.
    const auto known = dynamic_tensors(all, at + 1);
    *supported = build_of(plugin)->supportsFormatCombination(at, known.data(), inputs, outputs);
    return 0;
}

int lct_plugin_configure(void* plugin, const LctTensor* in, int32_t inputs, const LctTensor* out,
                         int32_t outputs) {
    return build_of(plugin)->configurePlugin(dynamic_tensors(in, inputs).data(), inputs,
                                             dynamic_tensors(out, outputs).data(), outputs);
}

int lct_plugin_tactics(void* plugin, int32_t* tactics, int32_t* count) {
    IPluginV3OneBuild* build = build_of(plugin);
    const int32_t number = build->getNbTactics();
    if (number > *count) return fail("the tactics do not fit");
    *count = number;
    return build->getValidTactics(tactics, number);
}

int lct_plugin_set_tactic(void* plugin, int32_t tactic) {
    return runtime_of(plugin)->setTactic(tactic);
}

int lct_plugin_shape_change(void* plugin, const LctTensor* in, int32_t inputs, const LctTensor* out,
                            int32_t outputs) {
    return runtime_of(plugin)->onShapeChange(tensors(in, inputs).data(), inputs,
                                             tensors(out, outputs).data(), outputs);
}

int lct_plugin_enqueue(void* plugin, const LctTensor* in, int32_t inputs, const LctTensor* out,
                       int32_t outputs, const void* const* in_data, void* const* out_data,
                       void* stream) {
    return runtime_of(plugin)->enqueue(tensors(in, inputs).data(), tensors(out, outputs).data(),
                                       in_data, out_data, nullptr,
                                       static_cast<cudaStream_t>(stream));
}
