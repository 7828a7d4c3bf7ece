import { v1 } from "../proto/messages.js";
import { camelCased, type CamelCased } from "./camel-case.js";

/** A running cluster; states and units are those of cluster.proto. */
export type ClusterStatus = CamelCased<v1.StatusResponse.$Properties>;
export type BusStatus = NonNullable<ClusterStatus["bus"]>;
export type ReplicaStatus = ClusterStatus["replicas"][number];
export type RankStatus = ReplicaStatus["ranks"][number];
export type PlacementStatus = ReplicaStatus["placements"][number];
export type SchedulerStatus = NonNullable<ReplicaStatus["scheduler"]>;

/** Fields that the server left at their default are filled in, so that a zero is a zero and not absent. */
export function toClusterStatus(response: v1.StatusResponse): ClusterStatus {
  const plain = v1.StatusResponse.toObject(response, { defaults: true, arrays: true }) as v1.StatusResponse.$Properties;
  return camelCased(plain);
}
