#include "convert.h"

namespace moesaic {
namespace {

Napi::Array op_names(Napi::Env env, const mk_kernel& kernel) {
  Napi::Array names = Napi::Array::New(env, kernel.num_ops);
  for (int32_t i = 0; i < kernel.num_ops; ++i) names.Set(static_cast<uint32_t>(i), op_name(kernel.ops[i]));
  return names;
}

Napi::Object from_weight(Napi::Env env, const WeightTensor& tensor, const BoundWeight& weight) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", tensor.name);
  object.Set("bytes", to_double(weight.bytes));
  object.Set("layoutId", weight.packing == nullptr ? "" : weight.packing->layout_id);
  object.Set("rowGranule", weight.packing == nullptr ? 1 : weight.packing->row_granule);
  return object;
}

Napi::Object from_refusal(Napi::Env env, const Refusal& refusal) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("package", refusal.package->name);
  object.Set("kernel", refusal.kernel == nullptr ? env.Null() : Napi::String::New(env, refusal.kernel->name));
  object.Set("reason", refusal.reason);
  return object;
}

Napi::Object from_bound_kernel(Napi::Env env, const BoundKernel& bound) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("package", bound.package->name);
  object.Set("kernel", bound.kernel->name);
  object.Set("ops", op_names(env, *bound.kernel));
  object.Set("refused", array_of(env, bound.refused, [&](const Refusal& refusal) { return from_refusal(env, refusal); }));
  return object;
}

Napi::Array from_bound_kernels(Napi::Env env, const std::vector<const BoundKernel*>& kernels) {
  return array_of(env, kernels, [&](const BoundKernel* kernel) { return from_bound_kernel(env, *kernel); });
}

const char* state_name(SurveyedKernel::State state) {
  switch (state) {
    case SurveyedKernel::State::kUnused:
      return "unused";
    case SurveyedKernel::State::kUnsupported:
      return "unsupported";
    case SurveyedKernel::State::kOtherDevice:
      return "other_device";
    case SurveyedKernel::State::kRefused:
      return "refused";
    case SurveyedKernel::State::kRuns:
      return "runs";
  }
  return "";
}

}  // namespace

Napi::Object from_package(Napi::Env env, const KernelPackage& package) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", package.name);
  object.Set("version", package.version);
  object.Set("abiVersion", MK_ABI_VERSION);
  object.Set("path", package.path);
  object.Set("kernels", array_of(env, package.kernels, [&](const mk_kernel* kernel) {
               Napi::Object item = Napi::Object::New(env);
               item.Set("name", kernel->name);
               item.Set("ops", op_names(env, *kernel));
               return item;
             }));
  return object;
}

Napi::Object from_bound_program(Napi::Env env, const RankProgram& program, const BoundProgram& bound) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("weightsBytes", to_double(bound.weights_bytes));
  object.Set("kvBytes", to_double(bound.kv_bytes));
  object.Set("kvBlockBytes", to_double(bound.kv_block_bytes));
  object.Set("workspaceBytes", to_double(bound.workspace_bytes));
  object.Set("exchangeBytes", to_double(bound.exchange_bytes));
  size_t index = 0;
  object.Set("weights", array_of(env, bound.weights, [&](const BoundWeight& weight) {
               return from_weight(env, program.weights[index++], weight);
             }));
  std::vector<const BoundKernel*> kernels;
  for (const std::vector<BoundKernel>& list : bound.kernels)
    for (const BoundKernel& kernel : list)
      if (kernel.kernel != nullptr) kernels.push_back(&kernel);
  object.Set("kernels", from_bound_kernels(env, kernels));
  std::vector<const BoundKernel*> engine_kernels;
  for (const BoundKernel* kernel : {&bound.begin_step, &bound.full_sample})
    if (kernel->kernel != nullptr) engine_kernels.push_back(kernel);
  object.Set("engineKernels", from_bound_kernels(env, engine_kernels));
  return object;
}

Napi::Array from_survey(Napi::Env env, const std::vector<SurveyedKernel>& surveyed) {
  return array_of(env, surveyed, [&](const SurveyedKernel& one) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("package", one.package->name);
    object.Set("kernel", one.kernel->name);
    object.Set("ops", op_names(env, *one.kernel));
    object.Set("state", state_name(one.state));
    object.Set("reason", one.state == SurveyedKernel::State::kRuns ? env.Null() : Napi::String::New(env, one.reason));
    return object;
  });
}

}  // namespace moesaic
