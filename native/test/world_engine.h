// For tests in C++: one rank's engine, in a process of its own.
#pragma once

#include <memory>

#include "../comm/test/harness.h"
#include "../engine.h"
#include "world_program.h"

namespace moesaic::test {

// Opens an engine of the world's program, joins its ranks and makes up weights. Throws Failure.
std::unique_ptr<Executor> join_world(const World& world, const CommunicatorOptions& options, DataPlaneListener* listener,
                                     const ProgramLimits& limits = kSmallLimits);
// The same without the weights, of an engine that is there; gives back how it went.
Status connect_engine(Executor& engine, Transport transport, const CommunicatorOptions& options, DataPlaneListener* listener);

// All transports and placements.
void for_all_ways(const std::function<void(Transport, Placement)>& test);

}  // namespace moesaic::test
