import { v1 } from "../proto/messages.js";
import { camelCased, type CamelCased } from "./camel-case.js";

/** A running cluster. Its fields, in camelCase, are those of StatusResponse in docs/grpc.md#statusresponse. */
export type ClusterStatus = CamelCased<v1.StatusResponse.$Properties>;
/** Its fields are in docs/grpc.md#busstatus. */
export type BusStatus = NonNullable<ClusterStatus["bus"]>;
/** Its fields are in docs/grpc.md#replicastatus. */
export type ReplicaStatus = ClusterStatus["replicas"][number];
/** Its fields are in docs/grpc.md#rankstatus. */
export type RankStatus = ReplicaStatus["ranks"][number];
/** Its fields are in docs/grpc.md#placementstatus. */
export type PlacementStatus = ReplicaStatus["placements"][number];
/** Its fields are in docs/grpc.md#schedulerstatus. */
export type SchedulerStatus = NonNullable<ReplicaStatus["scheduler"]>;

/** Fields that the server left at their default are filled in, so that a zero is a zero and not absent. */
export function toClusterStatus(response: v1.StatusResponse): ClusterStatus {
  const plain = v1.StatusResponse.toObject(response, { defaults: true, arrays: true }) as v1.StatusResponse.$Properties;
  return camelCased(plain);
}
