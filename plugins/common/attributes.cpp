#include "common/attributes.h"

#include <cstring>

#include "common/log.h"

namespace lc_trt {

using nvinfer1::PluginField;
using nvinfer1::PluginFieldType;

AttributeReader::AttributeReader(const nvinfer1::PluginFieldCollection* fields) : fields_(fields) {}

const PluginField* AttributeReader::find(const char* name) const {
    if (fields_ == nullptr) return nullptr;
    for (int32_t i = 0; i < fields_->nbFields; ++i) {
        const PluginField& field = fields_->fields[i];
        if (std::strcmp(field.name, name) == 0) return &field;
    }
    return nullptr;
}

std::vector<int32_t> AttributeReader::ints(const char* name, int length,
                                           const std::vector<int32_t>& fallback) const {
    const PluginField* field = find(name);
    if (field == nullptr) return fallback;
    if (length >= 0 && field->length != length) {
        throw PluginError(std::string(name) + " has " + std::to_string(field->length) +
                          " values, expected " + std::to_string(length));
    }
    std::vector<int32_t> values;
    for (int32_t i = 0; i < field->length; ++i) {
        if (field->type == PluginFieldType::kINT32) {
            values.push_back(static_cast<const int32_t*>(field->data)[i]);
        } else if (field->type == PluginFieldType::kINT64) {
            values.push_back(static_cast<int32_t>(static_cast<const int64_t*>(field->data)[i]));
        } else {
            throw PluginError(std::string(name) + " does not hold integers");
        }
    }
    return values;
}

void AttributeReader::require(const char* name) const {
    if (find(name) == nullptr) {
        throw PluginError(std::string("the attribute ") + name + " is missing");
    }
}

std::vector<int32_t> AttributeReader::required_ints(const char* name, int length) const {
    require(name);
    return ints(name, length, {});
}

float AttributeReader::required_real(const char* name) const {
    require(name);
    return real(name, 0.0f);
}

int32_t AttributeReader::integer(const char* name, int32_t fallback) const {
    return ints(name, 1, {fallback})[0];
}

float AttributeReader::real(const char* name, float fallback) const {
    const PluginField* field = find(name);
    if (field == nullptr) return fallback;
    if (field->type != PluginFieldType::kFLOAT32 || field->length != 1) {
        throw PluginError(std::string(name) + " is not one float");
    }
    return *static_cast<const float*>(field->data);
}

void AttributeWriter::add(const char* name, const std::vector<int32_t>& values) {
    fields_.emplace_back(name, values.data(), PluginFieldType::kINT32,
                         static_cast<int32_t>(values.size()));
}

void AttributeWriter::add(const char* name, const int32_t& value) {
    fields_.emplace_back(name, &value, PluginFieldType::kINT32, 1);
}

void AttributeWriter::add(const char* name, const float& value) {
    fields_.emplace_back(name, &value, PluginFieldType::kFLOAT32, 1);
}

const nvinfer1::PluginFieldCollection* AttributeWriter::collection() {
    collection_ = {static_cast<int32_t>(fields_.size()), fields_.data()};
    return &collection_;
}

std::string AttributeWriter::text() const {
    std::string text;
    for (const PluginField& field : fields_) {
        if (!text.empty()) text += ' ';
        text += field.name;
        for (int32_t i = 0; i < field.length; ++i) {
            text += i == 0 ? '=' : ',';
            text += field.type == PluginFieldType::kFLOAT32
                        ? std::to_string(static_cast<const float*>(field.data)[i])
                        : std::to_string(static_cast<const int32_t*>(field.data)[i]);
        }
    }
    return text;
}

}  // namespace lc_trt
