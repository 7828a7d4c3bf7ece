#include "kernel_survey.h"

#include <utility>

#include "device_reason.h"
#include "op_args.h"
#include "storage.h"

namespace moesaic {
namespace {

using State = SurveyedKernel::State;

State state_of(DeviceReason::Kind kind) {
  switch (kind) {
    case DeviceReason::Kind::kSupports:
      return State::kRuns;
    case DeviceReason::Kind::kDevice:
      return State::kRefused;
    case DeviceReason::Kind::kOtherDevice:
      return State::kOtherDevice;
    case DeviceReason::Kind::kShapes:
      return State::kUnsupported;
  }
  return State::kUnsupported;
}

// Remembers the best that a kernel says of any place in the list.
void ask(SurveyedKernel& surveyed, const std::vector<mk_op_instance>& list, const mk_device& device) {
  const mk_kernel& kernel = *surveyed.kernel;
  for (size_t first = 0; first < list.size() && surveyed.state != State::kRuns; ++first) {
    if (!computes(kernel, list, first)) continue;
    const mk_op_instance* parts = &list[first];
    DeviceReason reason = device_reason(kernel, device, parts, kernel.num_ops);
    const State state = state_of(reason.kind);
    if (state <= surveyed.state) continue;
    surveyed.state = state;
    surveyed.reason = std::move(reason.text);
  }
}

}  // namespace

StatusOr<std::vector<SurveyedKernel>> survey_kernels(const RankProgram& program, const EngineOptions& options,
                                                     const mk_device& device) {
  if (Status status = check_program(program); !status.ok()) return status;
  StatusOr<std::vector<const KernelPackage*>> packages = open_packages(options.packages);
  if (!packages.ok()) return packages.status();

  Storage shapes;  // no memory behind it
  if (lay_out_workspace(program, {}, nullptr, shapes) < 0)
    return Status(Code::kInvalidArgument, "program.limits: the workspace would be larger than any machine's memory");
  lay_out_weights(program, {}, nullptr, shapes);
  const mk_begin_step_args begin_step = make_begin_step_args(program, shapes);
  const std::vector<mk_op_instance> engine_ops{{MK_OP_BEGIN_STEP, &begin_step}};
  const OpInstances replicated = make_instances(program, program.ops_of(Placement::kReplicated), shapes);
  const OpInstances sharded = make_instances(program, program.ops_of(Placement::kSharded), shapes);

  std::vector<SurveyedKernel> surveyed;
  for (const KernelPackage* package : packages.value())
    for (const mk_kernel* kernel : package->kernels) {
      surveyed.push_back({package, kernel, State::kUnused, "no op of the program is of its kind"});
      for (const std::vector<mk_op_instance>* list : {&engine_ops, &replicated.instances, &sharded.instances})
        ask(surveyed.back(), *list, device);
    }
  return surveyed;
}

}  // namespace moesaic
