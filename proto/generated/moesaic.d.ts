import * as $protobuf from "protobufjs/minimal.js";
import Long = require("long");

/** Namespace moesaic. */
export namespace moesaic {

    /** Namespace v1. */
    namespace v1 {

        /** Represents a Cluster */
        class Cluster extends $protobuf.rpc.Service {

            /**
             * Constructs a new Cluster service.
             * @param rpcImpl RPC implementation
             * @param [requestDelimited=false] Whether requests are length-delimited
             * @param [responseDelimited=false] Whether responses are length-delimited
             */
            constructor(rpcImpl: $protobuf.RPCImpl, requestDelimited?: boolean, responseDelimited?: boolean);

            /**
             * Creates new Cluster service using the specified rpc implementation.
             * @param rpcImpl RPC implementation
             * @param [requestDelimited=false] Whether requests are length-delimited
             * @param [responseDelimited=false] Whether responses are length-delimited
             * @returns RPC service. Useful where requests and/or responses are streamed.
             */
            static create(rpcImpl: $protobuf.RPCImpl, requestDelimited?: boolean, responseDelimited?: boolean): Cluster;

            /** Calls Status. */
            status: moesaic.v1.Cluster.Status;

            /** Calls Watch. */
            watch: moesaic.v1.Cluster.Watch;

            /** Calls Drain. */
            drain: moesaic.v1.Cluster.Drain;

            /** Calls Scale. */
            scale: moesaic.v1.Cluster.Scale;

            /** Calls Explain. */
            explain: moesaic.v1.Cluster.Explain;
        }

        namespace Cluster {

            /**
             * Callback as used by {@link moesaic.v1.Cluster#status}.
             * @param error Error, if any
             * @param [response] StatusResponse
             */
            type StatusCallback = (error: (Error|null), response?: moesaic.v1.StatusResponse) => void;

            /** Calls Status. */
            type Status = {
              (request: moesaic.v1.IStatusRequest, callback: moesaic.v1.Cluster.StatusCallback): void;
              (request: moesaic.v1.IStatusRequest): Promise<moesaic.v1.StatusResponse>;
              readonly name: "Status";
              readonly path: "/moesaic.v1.Cluster/Status";
              readonly requestType: "StatusRequest";
              readonly responseType: "StatusResponse";
              readonly requestStream: undefined;
              readonly responseStream: undefined;
            };

            /**
             * Callback as used by {@link moesaic.v1.Cluster#watch}.
             * @param error Error, if any
             * @param [response] StatusResponse
             */
            type WatchCallback = (error: (Error|null), response?: moesaic.v1.StatusResponse) => void;

            /** Calls Watch. */
            type Watch = {
              (request: moesaic.v1.IStatusRequest, callback: moesaic.v1.Cluster.WatchCallback): void;
              (request: moesaic.v1.IStatusRequest): Promise<moesaic.v1.StatusResponse>;
              readonly name: "Watch";
              readonly path: "/moesaic.v1.Cluster/Watch";
              readonly requestType: "StatusRequest";
              readonly responseType: "StatusResponse";
              readonly requestStream: undefined;
              readonly responseStream: true;
            };

            /**
             * Callback as used by {@link moesaic.v1.Cluster#drain}.
             * @param error Error, if any
             * @param [response] DrainResponse
             */
            type DrainCallback = (error: (Error|null), response?: moesaic.v1.DrainResponse) => void;

            /** Calls Drain. */
            type Drain = {
              (request: moesaic.v1.IDrainRequest, callback: moesaic.v1.Cluster.DrainCallback): void;
              (request: moesaic.v1.IDrainRequest): Promise<moesaic.v1.DrainResponse>;
              readonly name: "Drain";
              readonly path: "/moesaic.v1.Cluster/Drain";
              readonly requestType: "DrainRequest";
              readonly responseType: "DrainResponse";
              readonly requestStream: undefined;
              readonly responseStream: undefined;
            };

            /**
             * Callback as used by {@link moesaic.v1.Cluster#scale}.
             * @param error Error, if any
             * @param [response] StatusResponse
             */
            type ScaleCallback = (error: (Error|null), response?: moesaic.v1.StatusResponse) => void;

            /** Calls Scale. */
            type Scale = {
              (request: moesaic.v1.IScaleRequest, callback: moesaic.v1.Cluster.ScaleCallback): void;
              (request: moesaic.v1.IScaleRequest): Promise<moesaic.v1.StatusResponse>;
              readonly name: "Scale";
              readonly path: "/moesaic.v1.Cluster/Scale";
              readonly requestType: "ScaleRequest";
              readonly responseType: "StatusResponse";
              readonly requestStream: undefined;
              readonly responseStream: undefined;
            };

            /**
             * Callback as used by {@link moesaic.v1.Cluster#explain}.
             * @param error Error, if any
             * @param [response] ExplainResponse
             */
            type ExplainCallback = (error: (Error|null), response?: moesaic.v1.ExplainResponse) => void;

            /** Calls Explain. */
            type Explain = {
              (request: moesaic.v1.IExplainRequest, callback: moesaic.v1.Cluster.ExplainCallback): void;
              (request: moesaic.v1.IExplainRequest): Promise<moesaic.v1.ExplainResponse>;
              readonly name: "Explain";
              readonly path: "/moesaic.v1.Cluster/Explain";
              readonly requestType: "ExplainRequest";
              readonly responseType: "ExplainResponse";
              readonly requestStream: undefined;
              readonly responseStream: undefined;
            };
        }

        /**
         * Properties of a StatusRequest.
         * @deprecated Use moesaic.v1.StatusRequest.$Properties instead.
         */
        interface IStatusRequest extends moesaic.v1.StatusRequest.$Properties {
        }

        /** Represents a StatusRequest. */
        class StatusRequest {

            /**
             * Constructs a new StatusRequest.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.StatusRequest.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /**
             * Creates a new StatusRequest instance using the specified properties.
             * @param [properties] Properties to set
             * @returns StatusRequest instance
             */
            static create(properties: moesaic.v1.StatusRequest.$Shape): moesaic.v1.StatusRequest & moesaic.v1.StatusRequest.$Shape;
            static create(properties?: moesaic.v1.StatusRequest.$Properties): moesaic.v1.StatusRequest;

            /**
             * Encodes the specified StatusRequest message. Does not implicitly {@link moesaic.v1.StatusRequest.verify|verify} messages.
             * @param message StatusRequest message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.StatusRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a StatusRequest message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.StatusRequest & moesaic.v1.StatusRequest.$Shape} StatusRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.StatusRequest & moesaic.v1.StatusRequest.$Shape;

            /**
             * Creates a StatusRequest message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns StatusRequest
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.StatusRequest;

            /**
             * Creates a plain object from a StatusRequest message. Also converts values to other types if specified.
             * @param message StatusRequest
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.StatusRequest, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this StatusRequest to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for StatusRequest
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace StatusRequest {

            /** Properties of a StatusRequest. */
            interface $Properties {

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a StatusRequest. */
            type $Shape = moesaic.v1.StatusRequest.$Properties;
        }

        /**
         * Properties of a StatusResponse.
         * @deprecated Use moesaic.v1.StatusResponse.$Properties instead.
         */
        interface IStatusResponse extends moesaic.v1.StatusResponse.$Properties {
        }

        /** Represents a StatusResponse. */
        class StatusResponse {

            /**
             * Constructs a new StatusResponse.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.StatusResponse.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** StatusResponse name. */
            name: string;

            /** StatusResponse model. */
            model: string;

            /** StatusResponse version. */
            version: string;

            /** StatusResponse protocol_version. */
            protocol_version: number;

            /** StatusResponse state. */
            state: string;

            /** StatusResponse reason. */
            reason: string;

            /** StatusResponse uptime_ms. */
            uptime_ms: number;

            /** StatusResponse replicas. */
            replicas: moesaic.v1.ReplicaStatus.$Properties[];

            /** StatusResponse spares. */
            spares: moesaic.v1.RankStatus.$Properties[];

            /** StatusResponse bus. */
            bus?: (moesaic.v1.BusStatus.$Properties|null);

            /**
             * Creates a new StatusResponse instance using the specified properties.
             * @param [properties] Properties to set
             * @returns StatusResponse instance
             */
            static create(properties: moesaic.v1.StatusResponse.$Shape): moesaic.v1.StatusResponse & moesaic.v1.StatusResponse.$Shape;
            static create(properties?: moesaic.v1.StatusResponse.$Properties): moesaic.v1.StatusResponse;

            /**
             * Encodes the specified StatusResponse message. Does not implicitly {@link moesaic.v1.StatusResponse.verify|verify} messages.
             * @param message StatusResponse message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.StatusResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a StatusResponse message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.StatusResponse & moesaic.v1.StatusResponse.$Shape} StatusResponse
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.StatusResponse & moesaic.v1.StatusResponse.$Shape;

            /**
             * Creates a StatusResponse message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns StatusResponse
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.StatusResponse;

            /**
             * Creates a plain object from a StatusResponse message. Also converts values to other types if specified.
             * @param message StatusResponse
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.StatusResponse, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this StatusResponse to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for StatusResponse
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace StatusResponse {

            /** Properties of a StatusResponse. */
            interface $Properties {

                /** StatusResponse name */
                name?: (string|null);

                /** StatusResponse model */
                model?: (string|null);

                /** StatusResponse version */
                version?: (string|null);

                /** StatusResponse protocol_version */
                protocol_version?: (number|null);

                /** StatusResponse state */
                state?: (string|null);

                /** StatusResponse reason */
                reason?: (string|null);

                /** StatusResponse uptime_ms */
                uptime_ms?: (number|null);

                /** StatusResponse replicas */
                replicas?: (moesaic.v1.ReplicaStatus.$Properties[]|null);

                /** StatusResponse spares */
                spares?: (moesaic.v1.RankStatus.$Properties[]|null);

                /** StatusResponse bus */
                bus?: (moesaic.v1.BusStatus.$Properties|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a StatusResponse. */
            type $Shape = moesaic.v1.StatusResponse.$Properties;
        }

        /**
         * Properties of a BusStatus.
         * @deprecated Use moesaic.v1.BusStatus.$Properties instead.
         */
        interface IBusStatus extends moesaic.v1.BusStatus.$Properties {
        }

        /** Represents a BusStatus. */
        class BusStatus {

            /**
             * Constructs a new BusStatus.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.BusStatus.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** BusStatus name. */
            name: string;

            /** BusStatus state. */
            state: string;

            /**
             * Creates a new BusStatus instance using the specified properties.
             * @param [properties] Properties to set
             * @returns BusStatus instance
             */
            static create(properties: moesaic.v1.BusStatus.$Shape): moesaic.v1.BusStatus & moesaic.v1.BusStatus.$Shape;
            static create(properties?: moesaic.v1.BusStatus.$Properties): moesaic.v1.BusStatus;

            /**
             * Encodes the specified BusStatus message. Does not implicitly {@link moesaic.v1.BusStatus.verify|verify} messages.
             * @param message BusStatus message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.BusStatus.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a BusStatus message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.BusStatus & moesaic.v1.BusStatus.$Shape} BusStatus
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.BusStatus & moesaic.v1.BusStatus.$Shape;

            /**
             * Creates a BusStatus message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns BusStatus
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.BusStatus;

            /**
             * Creates a plain object from a BusStatus message. Also converts values to other types if specified.
             * @param message BusStatus
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.BusStatus, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this BusStatus to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for BusStatus
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace BusStatus {

            /** Properties of a BusStatus. */
            interface $Properties {

                /** BusStatus name */
                name?: (string|null);

                /** BusStatus state */
                state?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a BusStatus. */
            type $Shape = moesaic.v1.BusStatus.$Properties;
        }

        /**
         * Properties of a ReplicaStatus.
         * @deprecated Use moesaic.v1.ReplicaStatus.$Properties instead.
         */
        interface IReplicaStatus extends moesaic.v1.ReplicaStatus.$Properties {
        }

        /** Represents a ReplicaStatus. */
        class ReplicaStatus {

            /**
             * Constructs a new ReplicaStatus.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.ReplicaStatus.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** ReplicaStatus replica_id. */
            replica_id: number;

            /** ReplicaStatus epoch. */
            epoch: number;

            /** ReplicaStatus state. */
            state: string;

            /** ReplicaStatus ranks. */
            ranks: moesaic.v1.RankStatus.$Properties[];

            /** ReplicaStatus scheduler. */
            scheduler?: (moesaic.v1.SchedulerStatus.$Properties|null);

            /** ReplicaStatus reason. */
            reason: string;

            /** ReplicaStatus placements. */
            placements: moesaic.v1.PlacementStatus.$Properties[];

            /**
             * Creates a new ReplicaStatus instance using the specified properties.
             * @param [properties] Properties to set
             * @returns ReplicaStatus instance
             */
            static create(properties: moesaic.v1.ReplicaStatus.$Shape): moesaic.v1.ReplicaStatus & moesaic.v1.ReplicaStatus.$Shape;
            static create(properties?: moesaic.v1.ReplicaStatus.$Properties): moesaic.v1.ReplicaStatus;

            /**
             * Encodes the specified ReplicaStatus message. Does not implicitly {@link moesaic.v1.ReplicaStatus.verify|verify} messages.
             * @param message ReplicaStatus message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.ReplicaStatus.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a ReplicaStatus message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.ReplicaStatus & moesaic.v1.ReplicaStatus.$Shape} ReplicaStatus
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.ReplicaStatus & moesaic.v1.ReplicaStatus.$Shape;

            /**
             * Creates a ReplicaStatus message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns ReplicaStatus
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.ReplicaStatus;

            /**
             * Creates a plain object from a ReplicaStatus message. Also converts values to other types if specified.
             * @param message ReplicaStatus
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.ReplicaStatus, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this ReplicaStatus to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for ReplicaStatus
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace ReplicaStatus {

            /** Properties of a ReplicaStatus. */
            interface $Properties {

                /** ReplicaStatus replica_id */
                replica_id?: (number|null);

                /** ReplicaStatus epoch */
                epoch?: (number|null);

                /** ReplicaStatus state */
                state?: (string|null);

                /** ReplicaStatus ranks */
                ranks?: (moesaic.v1.RankStatus.$Properties[]|null);

                /** ReplicaStatus scheduler */
                scheduler?: (moesaic.v1.SchedulerStatus.$Properties|null);

                /** ReplicaStatus reason */
                reason?: (string|null);

                /** ReplicaStatus placements */
                placements?: (moesaic.v1.PlacementStatus.$Properties[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a ReplicaStatus. */
            type $Shape = moesaic.v1.ReplicaStatus.$Properties;
        }

        /**
         * Properties of a PlacementStatus.
         * @deprecated Use moesaic.v1.PlacementStatus.$Properties instead.
         */
        interface IPlacementStatus extends moesaic.v1.PlacementStatus.$Properties {
        }

        /** Represents a PlacementStatus. */
        class PlacementStatus {

            /**
             * Constructs a new PlacementStatus.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.PlacementStatus.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** PlacementStatus num_tokens_max. */
            num_tokens_max: number;

            /** PlacementStatus placement. */
            placement: string;

            /** PlacementStatus replicated_ms. */
            replicated_ms: number;

            /** PlacementStatus sharded_ms. */
            sharded_ms: number;

            /**
             * Creates a new PlacementStatus instance using the specified properties.
             * @param [properties] Properties to set
             * @returns PlacementStatus instance
             */
            static create(properties: moesaic.v1.PlacementStatus.$Shape): moesaic.v1.PlacementStatus & moesaic.v1.PlacementStatus.$Shape;
            static create(properties?: moesaic.v1.PlacementStatus.$Properties): moesaic.v1.PlacementStatus;

            /**
             * Encodes the specified PlacementStatus message. Does not implicitly {@link moesaic.v1.PlacementStatus.verify|verify} messages.
             * @param message PlacementStatus message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.PlacementStatus.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a PlacementStatus message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.PlacementStatus & moesaic.v1.PlacementStatus.$Shape} PlacementStatus
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.PlacementStatus & moesaic.v1.PlacementStatus.$Shape;

            /**
             * Creates a PlacementStatus message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns PlacementStatus
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.PlacementStatus;

            /**
             * Creates a plain object from a PlacementStatus message. Also converts values to other types if specified.
             * @param message PlacementStatus
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.PlacementStatus, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this PlacementStatus to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for PlacementStatus
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace PlacementStatus {

            /** Properties of a PlacementStatus. */
            interface $Properties {

                /** PlacementStatus num_tokens_max */
                num_tokens_max?: (number|null);

                /** PlacementStatus placement */
                placement?: (string|null);

                /** PlacementStatus replicated_ms */
                replicated_ms?: (number|null);

                /** PlacementStatus sharded_ms */
                sharded_ms?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a PlacementStatus. */
            type $Shape = moesaic.v1.PlacementStatus.$Properties;
        }

        /**
         * Properties of a RankStatus.
         * @deprecated Use moesaic.v1.RankStatus.$Properties instead.
         */
        interface IRankStatus extends moesaic.v1.RankStatus.$Properties {
        }

        /** Represents a RankStatus. */
        class RankStatus {

            /**
             * Constructs a new RankStatus.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.RankStatus.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** RankStatus rank. */
            rank: number;

            /** RankStatus host_id. */
            host_id: string;

            /** RankStatus pid. */
            pid: number;

            /** RankStatus state. */
            state: string;

            /** RankStatus device. */
            device: string;

            /** RankStatus memory_bytes. */
            memory_bytes: number;

            /** RankStatus arenas. */
            arenas?: (moesaic.v1.ArenaBytes.$Properties|null);

            /** RankStatus load_bytes_planned. */
            load_bytes_planned: number;

            /** RankStatus load_bytes_done. */
            load_bytes_done: number;

            /** RankStatus load_bytes_read. */
            load_bytes_read: number;

            /** RankStatus load_ms. */
            load_ms: number;

            /** RankStatus kv_block_bytes. */
            kv_block_bytes: number;

            /** RankStatus collectives. */
            collectives: moesaic.v1.CollectiveStatus.$Properties[];

            /** RankStatus progress_counter. */
            progress_counter: number;

            /** RankStatus last_op. */
            last_op: string;

            /** RankStatus rss_bytes. */
            rss_bytes: number;

            /** RankStatus transport. */
            transport: string;

            /** RankStatus load_percent. */
            load_percent: number;

            /**
             * Creates a new RankStatus instance using the specified properties.
             * @param [properties] Properties to set
             * @returns RankStatus instance
             */
            static create(properties: moesaic.v1.RankStatus.$Shape): moesaic.v1.RankStatus & moesaic.v1.RankStatus.$Shape;
            static create(properties?: moesaic.v1.RankStatus.$Properties): moesaic.v1.RankStatus;

            /**
             * Encodes the specified RankStatus message. Does not implicitly {@link moesaic.v1.RankStatus.verify|verify} messages.
             * @param message RankStatus message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.RankStatus.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a RankStatus message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.RankStatus & moesaic.v1.RankStatus.$Shape} RankStatus
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.RankStatus & moesaic.v1.RankStatus.$Shape;

            /**
             * Creates a RankStatus message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns RankStatus
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.RankStatus;

            /**
             * Creates a plain object from a RankStatus message. Also converts values to other types if specified.
             * @param message RankStatus
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.RankStatus, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this RankStatus to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for RankStatus
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace RankStatus {

            /** Properties of a RankStatus. */
            interface $Properties {

                /** RankStatus rank */
                rank?: (number|null);

                /** RankStatus host_id */
                host_id?: (string|null);

                /** RankStatus pid */
                pid?: (number|null);

                /** RankStatus state */
                state?: (string|null);

                /** RankStatus device */
                device?: (string|null);

                /** RankStatus memory_bytes */
                memory_bytes?: (number|null);

                /** RankStatus arenas */
                arenas?: (moesaic.v1.ArenaBytes.$Properties|null);

                /** RankStatus load_bytes_planned */
                load_bytes_planned?: (number|null);

                /** RankStatus load_bytes_done */
                load_bytes_done?: (number|null);

                /** RankStatus load_bytes_read */
                load_bytes_read?: (number|null);

                /** RankStatus load_ms */
                load_ms?: (number|null);

                /** RankStatus kv_block_bytes */
                kv_block_bytes?: (number|null);

                /** RankStatus collectives */
                collectives?: (moesaic.v1.CollectiveStatus.$Properties[]|null);

                /** RankStatus progress_counter */
                progress_counter?: (number|null);

                /** RankStatus last_op */
                last_op?: (string|null);

                /** RankStatus rss_bytes */
                rss_bytes?: (number|null);

                /** RankStatus transport */
                transport?: (string|null);

                /** RankStatus load_percent */
                load_percent?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a RankStatus. */
            type $Shape = moesaic.v1.RankStatus.$Properties;
        }

        /**
         * Properties of an ArenaBytes.
         * @deprecated Use moesaic.v1.ArenaBytes.$Properties instead.
         */
        interface IArenaBytes extends moesaic.v1.ArenaBytes.$Properties {
        }

        /** Represents an ArenaBytes. */
        class ArenaBytes {

            /**
             * Constructs a new ArenaBytes.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.ArenaBytes.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** ArenaBytes weights. */
            weights: number;

            /** ArenaBytes kv. */
            kv: number;

            /** ArenaBytes workspace. */
            workspace: number;

            /**
             * Creates a new ArenaBytes instance using the specified properties.
             * @param [properties] Properties to set
             * @returns ArenaBytes instance
             */
            static create(properties: moesaic.v1.ArenaBytes.$Shape): moesaic.v1.ArenaBytes & moesaic.v1.ArenaBytes.$Shape;
            static create(properties?: moesaic.v1.ArenaBytes.$Properties): moesaic.v1.ArenaBytes;

            /**
             * Encodes the specified ArenaBytes message. Does not implicitly {@link moesaic.v1.ArenaBytes.verify|verify} messages.
             * @param message ArenaBytes message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.ArenaBytes.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes an ArenaBytes message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.ArenaBytes & moesaic.v1.ArenaBytes.$Shape} ArenaBytes
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.ArenaBytes & moesaic.v1.ArenaBytes.$Shape;

            /**
             * Creates an ArenaBytes message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns ArenaBytes
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.ArenaBytes;

            /**
             * Creates a plain object from an ArenaBytes message. Also converts values to other types if specified.
             * @param message ArenaBytes
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.ArenaBytes, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this ArenaBytes to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for ArenaBytes
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace ArenaBytes {

            /** Properties of an ArenaBytes. */
            interface $Properties {

                /** ArenaBytes weights */
                weights?: (number|null);

                /** ArenaBytes kv */
                kv?: (number|null);

                /** ArenaBytes workspace */
                workspace?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of an ArenaBytes. */
            type $Shape = moesaic.v1.ArenaBytes.$Properties;
        }

        /**
         * Properties of a CollectiveStatus.
         * @deprecated Use moesaic.v1.CollectiveStatus.$Properties instead.
         */
        interface ICollectiveStatus extends moesaic.v1.CollectiveStatus.$Properties {
        }

        /** Represents a CollectiveStatus. */
        class CollectiveStatus {

            /**
             * Constructs a new CollectiveStatus.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.CollectiveStatus.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** CollectiveStatus name. */
            name: string;

            /** CollectiveStatus calls. */
            calls: number;

            /** CollectiveStatus bytes. */
            bytes: number;

            /**
             * Creates a new CollectiveStatus instance using the specified properties.
             * @param [properties] Properties to set
             * @returns CollectiveStatus instance
             */
            static create(properties: moesaic.v1.CollectiveStatus.$Shape): moesaic.v1.CollectiveStatus & moesaic.v1.CollectiveStatus.$Shape;
            static create(properties?: moesaic.v1.CollectiveStatus.$Properties): moesaic.v1.CollectiveStatus;

            /**
             * Encodes the specified CollectiveStatus message. Does not implicitly {@link moesaic.v1.CollectiveStatus.verify|verify} messages.
             * @param message CollectiveStatus message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.CollectiveStatus.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a CollectiveStatus message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.CollectiveStatus & moesaic.v1.CollectiveStatus.$Shape} CollectiveStatus
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.CollectiveStatus & moesaic.v1.CollectiveStatus.$Shape;

            /**
             * Creates a CollectiveStatus message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns CollectiveStatus
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.CollectiveStatus;

            /**
             * Creates a plain object from a CollectiveStatus message. Also converts values to other types if specified.
             * @param message CollectiveStatus
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.CollectiveStatus, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this CollectiveStatus to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for CollectiveStatus
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace CollectiveStatus {

            /** Properties of a CollectiveStatus. */
            interface $Properties {

                /** CollectiveStatus name */
                name?: (string|null);

                /** CollectiveStatus calls */
                calls?: (number|null);

                /** CollectiveStatus bytes */
                bytes?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a CollectiveStatus. */
            type $Shape = moesaic.v1.CollectiveStatus.$Properties;
        }

        /**
         * Properties of a SchedulerStatus.
         * @deprecated Use moesaic.v1.SchedulerStatus.$Properties instead.
         */
        interface ISchedulerStatus extends moesaic.v1.SchedulerStatus.$Properties {
        }

        /** Represents a SchedulerStatus. */
        class SchedulerStatus {

            /**
             * Constructs a new SchedulerStatus.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.SchedulerStatus.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** SchedulerStatus num_running. */
            num_running: number;

            /** SchedulerStatus num_waiting. */
            num_waiting: number;

            /** SchedulerStatus num_blocks. */
            num_blocks: number;

            /** SchedulerStatus num_free_blocks. */
            num_free_blocks: number;

            /** SchedulerStatus kv_groups. */
            kv_groups: moesaic.v1.KvGroupStatus.$Properties[];

            /** SchedulerStatus num_steps. */
            num_steps: number;

            /** SchedulerStatus num_preemptions. */
            num_preemptions: number;

            /** SchedulerStatus num_prompt_tokens. */
            num_prompt_tokens: number;

            /** SchedulerStatus num_output_tokens. */
            num_output_tokens: number;

            /** SchedulerStatus max_batched_tokens. */
            max_batched_tokens: number;

            /** SchedulerStatus max_sequences. */
            max_sequences: number;

            /** SchedulerStatus max_model_len. */
            max_model_len: number;

            /** SchedulerStatus block_size. */
            block_size: number;

            /**
             * Creates a new SchedulerStatus instance using the specified properties.
             * @param [properties] Properties to set
             * @returns SchedulerStatus instance
             */
            static create(properties: moesaic.v1.SchedulerStatus.$Shape): moesaic.v1.SchedulerStatus & moesaic.v1.SchedulerStatus.$Shape;
            static create(properties?: moesaic.v1.SchedulerStatus.$Properties): moesaic.v1.SchedulerStatus;

            /**
             * Encodes the specified SchedulerStatus message. Does not implicitly {@link moesaic.v1.SchedulerStatus.verify|verify} messages.
             * @param message SchedulerStatus message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.SchedulerStatus.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a SchedulerStatus message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.SchedulerStatus & moesaic.v1.SchedulerStatus.$Shape} SchedulerStatus
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.SchedulerStatus & moesaic.v1.SchedulerStatus.$Shape;

            /**
             * Creates a SchedulerStatus message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns SchedulerStatus
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.SchedulerStatus;

            /**
             * Creates a plain object from a SchedulerStatus message. Also converts values to other types if specified.
             * @param message SchedulerStatus
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.SchedulerStatus, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this SchedulerStatus to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for SchedulerStatus
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace SchedulerStatus {

            /** Properties of a SchedulerStatus. */
            interface $Properties {

                /** SchedulerStatus num_running */
                num_running?: (number|null);

                /** SchedulerStatus num_waiting */
                num_waiting?: (number|null);

                /** SchedulerStatus num_blocks */
                num_blocks?: (number|null);

                /** SchedulerStatus num_free_blocks */
                num_free_blocks?: (number|null);

                /** SchedulerStatus kv_groups */
                kv_groups?: (moesaic.v1.KvGroupStatus.$Properties[]|null);

                /** SchedulerStatus num_steps */
                num_steps?: (number|null);

                /** SchedulerStatus num_preemptions */
                num_preemptions?: (number|null);

                /** SchedulerStatus num_prompt_tokens */
                num_prompt_tokens?: (number|null);

                /** SchedulerStatus num_output_tokens */
                num_output_tokens?: (number|null);

                /** SchedulerStatus max_batched_tokens */
                max_batched_tokens?: (number|null);

                /** SchedulerStatus max_sequences */
                max_sequences?: (number|null);

                /** SchedulerStatus max_model_len */
                max_model_len?: (number|null);

                /** SchedulerStatus block_size */
                block_size?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a SchedulerStatus. */
            type $Shape = moesaic.v1.SchedulerStatus.$Properties;
        }

        /**
         * Properties of a KvGroupStatus.
         * @deprecated Use moesaic.v1.KvGroupStatus.$Properties instead.
         */
        interface IKvGroupStatus extends moesaic.v1.KvGroupStatus.$Properties {
        }

        /** Represents a KvGroupStatus. */
        class KvGroupStatus {

            /**
             * Constructs a new KvGroupStatus.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.KvGroupStatus.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** KvGroupStatus group. */
            group: string;

            /** KvGroupStatus num_used_blocks. */
            num_used_blocks: number;

            /** KvGroupStatus window. */
            window: number;

            /**
             * Creates a new KvGroupStatus instance using the specified properties.
             * @param [properties] Properties to set
             * @returns KvGroupStatus instance
             */
            static create(properties: moesaic.v1.KvGroupStatus.$Shape): moesaic.v1.KvGroupStatus & moesaic.v1.KvGroupStatus.$Shape;
            static create(properties?: moesaic.v1.KvGroupStatus.$Properties): moesaic.v1.KvGroupStatus;

            /**
             * Encodes the specified KvGroupStatus message. Does not implicitly {@link moesaic.v1.KvGroupStatus.verify|verify} messages.
             * @param message KvGroupStatus message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.KvGroupStatus.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a KvGroupStatus message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.KvGroupStatus & moesaic.v1.KvGroupStatus.$Shape} KvGroupStatus
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.KvGroupStatus & moesaic.v1.KvGroupStatus.$Shape;

            /**
             * Creates a KvGroupStatus message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns KvGroupStatus
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.KvGroupStatus;

            /**
             * Creates a plain object from a KvGroupStatus message. Also converts values to other types if specified.
             * @param message KvGroupStatus
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.KvGroupStatus, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this KvGroupStatus to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for KvGroupStatus
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace KvGroupStatus {

            /** Properties of a KvGroupStatus. */
            interface $Properties {

                /** KvGroupStatus group */
                group?: (string|null);

                /** KvGroupStatus num_used_blocks */
                num_used_blocks?: (number|null);

                /** KvGroupStatus window */
                window?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a KvGroupStatus. */
            type $Shape = moesaic.v1.KvGroupStatus.$Properties;
        }

        /**
         * Properties of a DrainRequest.
         * @deprecated Use moesaic.v1.DrainRequest.$Properties instead.
         */
        interface IDrainRequest extends moesaic.v1.DrainRequest.$Properties {
        }

        /** Represents a DrainRequest. */
        class DrainRequest {

            /**
             * Constructs a new DrainRequest.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.DrainRequest.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** DrainRequest replica_id. */
            replica_id?: (number|null);

            /** DrainRequest rank. */
            rank?: (number|null);

            /**
             * Creates a new DrainRequest instance using the specified properties.
             * @param [properties] Properties to set
             * @returns DrainRequest instance
             */
            static create(properties: moesaic.v1.DrainRequest.$Shape): moesaic.v1.DrainRequest & moesaic.v1.DrainRequest.$Shape;
            static create(properties?: moesaic.v1.DrainRequest.$Properties): moesaic.v1.DrainRequest;

            /**
             * Encodes the specified DrainRequest message. Does not implicitly {@link moesaic.v1.DrainRequest.verify|verify} messages.
             * @param message DrainRequest message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.DrainRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a DrainRequest message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.DrainRequest & moesaic.v1.DrainRequest.$Shape} DrainRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.DrainRequest & moesaic.v1.DrainRequest.$Shape;

            /**
             * Creates a DrainRequest message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns DrainRequest
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.DrainRequest;

            /**
             * Creates a plain object from a DrainRequest message. Also converts values to other types if specified.
             * @param message DrainRequest
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.DrainRequest, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this DrainRequest to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for DrainRequest
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace DrainRequest {

            /** Properties of a DrainRequest. */
            interface $Properties {

                /** DrainRequest replica_id */
                replica_id?: (number|null);

                /** DrainRequest rank */
                rank?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a DrainRequest. */
            type $Shape = moesaic.v1.DrainRequest.$Properties;
        }

        /**
         * Properties of a DrainResponse.
         * @deprecated Use moesaic.v1.DrainResponse.$Properties instead.
         */
        interface IDrainResponse extends moesaic.v1.DrainResponse.$Properties {
        }

        /** Represents a DrainResponse. */
        class DrainResponse {

            /**
             * Constructs a new DrainResponse.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.DrainResponse.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** DrainResponse num_finished. */
            num_finished: number;

            /**
             * Creates a new DrainResponse instance using the specified properties.
             * @param [properties] Properties to set
             * @returns DrainResponse instance
             */
            static create(properties: moesaic.v1.DrainResponse.$Shape): moesaic.v1.DrainResponse & moesaic.v1.DrainResponse.$Shape;
            static create(properties?: moesaic.v1.DrainResponse.$Properties): moesaic.v1.DrainResponse;

            /**
             * Encodes the specified DrainResponse message. Does not implicitly {@link moesaic.v1.DrainResponse.verify|verify} messages.
             * @param message DrainResponse message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.DrainResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a DrainResponse message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.DrainResponse & moesaic.v1.DrainResponse.$Shape} DrainResponse
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.DrainResponse & moesaic.v1.DrainResponse.$Shape;

            /**
             * Creates a DrainResponse message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns DrainResponse
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.DrainResponse;

            /**
             * Creates a plain object from a DrainResponse message. Also converts values to other types if specified.
             * @param message DrainResponse
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.DrainResponse, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this DrainResponse to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for DrainResponse
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace DrainResponse {

            /** Properties of a DrainResponse. */
            interface $Properties {

                /** DrainResponse num_finished */
                num_finished?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a DrainResponse. */
            type $Shape = moesaic.v1.DrainResponse.$Properties;
        }

        /**
         * Properties of a ScaleRequest.
         * @deprecated Use moesaic.v1.ScaleRequest.$Properties instead.
         */
        interface IScaleRequest extends moesaic.v1.ScaleRequest.$Properties {
        }

        /** Represents a ScaleRequest. */
        class ScaleRequest {

            /**
             * Constructs a new ScaleRequest.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.ScaleRequest.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** ScaleRequest num_replicas. */
            num_replicas: number;

            /**
             * Creates a new ScaleRequest instance using the specified properties.
             * @param [properties] Properties to set
             * @returns ScaleRequest instance
             */
            static create(properties: moesaic.v1.ScaleRequest.$Shape): moesaic.v1.ScaleRequest & moesaic.v1.ScaleRequest.$Shape;
            static create(properties?: moesaic.v1.ScaleRequest.$Properties): moesaic.v1.ScaleRequest;

            /**
             * Encodes the specified ScaleRequest message. Does not implicitly {@link moesaic.v1.ScaleRequest.verify|verify} messages.
             * @param message ScaleRequest message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.ScaleRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a ScaleRequest message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.ScaleRequest & moesaic.v1.ScaleRequest.$Shape} ScaleRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.ScaleRequest & moesaic.v1.ScaleRequest.$Shape;

            /**
             * Creates a ScaleRequest message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns ScaleRequest
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.ScaleRequest;

            /**
             * Creates a plain object from a ScaleRequest message. Also converts values to other types if specified.
             * @param message ScaleRequest
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.ScaleRequest, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this ScaleRequest to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for ScaleRequest
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace ScaleRequest {

            /** Properties of a ScaleRequest. */
            interface $Properties {

                /** ScaleRequest num_replicas */
                num_replicas?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a ScaleRequest. */
            type $Shape = moesaic.v1.ScaleRequest.$Properties;
        }

        /**
         * Properties of an ExplainRequest.
         * @deprecated Use moesaic.v1.ExplainRequest.$Properties instead.
         */
        interface IExplainRequest extends moesaic.v1.ExplainRequest.$Properties {
        }

        /** Represents an ExplainRequest. */
        class ExplainRequest {

            /**
             * Constructs a new ExplainRequest.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.ExplainRequest.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /**
             * Creates a new ExplainRequest instance using the specified properties.
             * @param [properties] Properties to set
             * @returns ExplainRequest instance
             */
            static create(properties: moesaic.v1.ExplainRequest.$Shape): moesaic.v1.ExplainRequest & moesaic.v1.ExplainRequest.$Shape;
            static create(properties?: moesaic.v1.ExplainRequest.$Properties): moesaic.v1.ExplainRequest;

            /**
             * Encodes the specified ExplainRequest message. Does not implicitly {@link moesaic.v1.ExplainRequest.verify|verify} messages.
             * @param message ExplainRequest message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.ExplainRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes an ExplainRequest message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.ExplainRequest & moesaic.v1.ExplainRequest.$Shape} ExplainRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.ExplainRequest & moesaic.v1.ExplainRequest.$Shape;

            /**
             * Creates an ExplainRequest message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns ExplainRequest
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.ExplainRequest;

            /**
             * Creates a plain object from an ExplainRequest message. Also converts values to other types if specified.
             * @param message ExplainRequest
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.ExplainRequest, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this ExplainRequest to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for ExplainRequest
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace ExplainRequest {

            /** Properties of an ExplainRequest. */
            interface $Properties {

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of an ExplainRequest. */
            type $Shape = moesaic.v1.ExplainRequest.$Properties;
        }

        /**
         * Properties of an ExplainResponse.
         * @deprecated Use moesaic.v1.ExplainResponse.$Properties instead.
         */
        interface IExplainResponse extends moesaic.v1.ExplainResponse.$Properties {
        }

        /** Represents an ExplainResponse. */
        class ExplainResponse {

            /**
             * Constructs a new ExplainResponse.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.ExplainResponse.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** ExplainResponse text. */
            text: string;

            /** ExplainResponse json. */
            json: string;

            /**
             * Creates a new ExplainResponse instance using the specified properties.
             * @param [properties] Properties to set
             * @returns ExplainResponse instance
             */
            static create(properties: moesaic.v1.ExplainResponse.$Shape): moesaic.v1.ExplainResponse & moesaic.v1.ExplainResponse.$Shape;
            static create(properties?: moesaic.v1.ExplainResponse.$Properties): moesaic.v1.ExplainResponse;

            /**
             * Encodes the specified ExplainResponse message. Does not implicitly {@link moesaic.v1.ExplainResponse.verify|verify} messages.
             * @param message ExplainResponse message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.ExplainResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes an ExplainResponse message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.ExplainResponse & moesaic.v1.ExplainResponse.$Shape} ExplainResponse
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.ExplainResponse & moesaic.v1.ExplainResponse.$Shape;

            /**
             * Creates an ExplainResponse message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns ExplainResponse
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.ExplainResponse;

            /**
             * Creates a plain object from an ExplainResponse message. Also converts values to other types if specified.
             * @param message ExplainResponse
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.ExplainResponse, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this ExplainResponse to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for ExplainResponse
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace ExplainResponse {

            /** Properties of an ExplainResponse. */
            interface $Properties {

                /** ExplainResponse text */
                text?: (string|null);

                /** ExplainResponse json */
                json?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of an ExplainResponse. */
            type $Shape = moesaic.v1.ExplainResponse.$Properties;
        }

        /** Represents an Inference */
        class Inference extends $protobuf.rpc.Service {

            /**
             * Constructs a new Inference service.
             * @param rpcImpl RPC implementation
             * @param [requestDelimited=false] Whether requests are length-delimited
             * @param [responseDelimited=false] Whether responses are length-delimited
             */
            constructor(rpcImpl: $protobuf.RPCImpl, requestDelimited?: boolean, responseDelimited?: boolean);

            /**
             * Creates new Inference service using the specified rpc implementation.
             * @param rpcImpl RPC implementation
             * @param [requestDelimited=false] Whether requests are length-delimited
             * @param [responseDelimited=false] Whether responses are length-delimited
             * @returns RPC service. Useful where requests and/or responses are streamed.
             */
            static create(rpcImpl: $protobuf.RPCImpl, requestDelimited?: boolean, responseDelimited?: boolean): Inference;

            /** Calls Generate. */
            generate: moesaic.v1.Inference.Generate;

            /** Calls Cancel. */
            cancel: moesaic.v1.Inference.Cancel;

            /** Calls Logits. */
            logits: moesaic.v1.Inference.Logits;

            /** Calls Tokenize. */
            tokenize: moesaic.v1.Inference.Tokenize;

            /** Calls Detokenize. */
            detokenize: moesaic.v1.Inference.Detokenize;

            /** Calls ListModels. */
            listModels: moesaic.v1.Inference.ListModels;
        }

        namespace Inference {

            /**
             * Callback as used by {@link moesaic.v1.Inference#generate}.
             * @param error Error, if any
             * @param [response] GenerateEvent
             */
            type GenerateCallback = (error: (Error|null), response?: moesaic.v1.GenerateEvent) => void;

            /** Calls Generate. */
            type Generate = {
              (request: moesaic.v1.IGenerateRequest, callback: moesaic.v1.Inference.GenerateCallback): void;
              (request: moesaic.v1.IGenerateRequest): Promise<moesaic.v1.GenerateEvent>;
              readonly name: "Generate";
              readonly path: "/moesaic.v1.Inference/Generate";
              readonly requestType: "GenerateRequest";
              readonly responseType: "GenerateEvent";
              readonly requestStream: undefined;
              readonly responseStream: true;
            };

            /**
             * Callback as used by {@link moesaic.v1.Inference#cancel}.
             * @param error Error, if any
             * @param [response] CancelResponse
             */
            type CancelCallback = (error: (Error|null), response?: moesaic.v1.CancelResponse) => void;

            /** Calls Cancel. */
            type Cancel = {
              (request: moesaic.v1.ICancelRequest, callback: moesaic.v1.Inference.CancelCallback): void;
              (request: moesaic.v1.ICancelRequest): Promise<moesaic.v1.CancelResponse>;
              readonly name: "Cancel";
              readonly path: "/moesaic.v1.Inference/Cancel";
              readonly requestType: "CancelRequest";
              readonly responseType: "CancelResponse";
              readonly requestStream: undefined;
              readonly responseStream: undefined;
            };

            /**
             * Callback as used by {@link moesaic.v1.Inference#logits}.
             * @param error Error, if any
             * @param [response] LogitsEvent
             */
            type LogitsCallback = (error: (Error|null), response?: moesaic.v1.LogitsEvent) => void;

            /** Calls Logits. */
            type Logits = {
              (request: moesaic.v1.ILogitsRequest, callback: moesaic.v1.Inference.LogitsCallback): void;
              (request: moesaic.v1.ILogitsRequest): Promise<moesaic.v1.LogitsEvent>;
              readonly name: "Logits";
              readonly path: "/moesaic.v1.Inference/Logits";
              readonly requestType: "LogitsRequest";
              readonly responseType: "LogitsEvent";
              readonly requestStream: undefined;
              readonly responseStream: true;
            };

            /**
             * Callback as used by {@link moesaic.v1.Inference#tokenize}.
             * @param error Error, if any
             * @param [response] TokenizeResponse
             */
            type TokenizeCallback = (error: (Error|null), response?: moesaic.v1.TokenizeResponse) => void;

            /** Calls Tokenize. */
            type Tokenize = {
              (request: moesaic.v1.ITokenizeRequest, callback: moesaic.v1.Inference.TokenizeCallback): void;
              (request: moesaic.v1.ITokenizeRequest): Promise<moesaic.v1.TokenizeResponse>;
              readonly name: "Tokenize";
              readonly path: "/moesaic.v1.Inference/Tokenize";
              readonly requestType: "TokenizeRequest";
              readonly responseType: "TokenizeResponse";
              readonly requestStream: undefined;
              readonly responseStream: undefined;
            };

            /**
             * Callback as used by {@link moesaic.v1.Inference#detokenize}.
             * @param error Error, if any
             * @param [response] DetokenizeResponse
             */
            type DetokenizeCallback = (error: (Error|null), response?: moesaic.v1.DetokenizeResponse) => void;

            /** Calls Detokenize. */
            type Detokenize = {
              (request: moesaic.v1.IDetokenizeRequest, callback: moesaic.v1.Inference.DetokenizeCallback): void;
              (request: moesaic.v1.IDetokenizeRequest): Promise<moesaic.v1.DetokenizeResponse>;
              readonly name: "Detokenize";
              readonly path: "/moesaic.v1.Inference/Detokenize";
              readonly requestType: "DetokenizeRequest";
              readonly responseType: "DetokenizeResponse";
              readonly requestStream: undefined;
              readonly responseStream: undefined;
            };

            /**
             * Callback as used by {@link moesaic.v1.Inference#listModels}.
             * @param error Error, if any
             * @param [response] ListModelsResponse
             */
            type ListModelsCallback = (error: (Error|null), response?: moesaic.v1.ListModelsResponse) => void;

            /** Calls ListModels. */
            type ListModels = {
              (request: moesaic.v1.IListModelsRequest, callback: moesaic.v1.Inference.ListModelsCallback): void;
              (request: moesaic.v1.IListModelsRequest): Promise<moesaic.v1.ListModelsResponse>;
              readonly name: "ListModels";
              readonly path: "/moesaic.v1.Inference/ListModels";
              readonly requestType: "ListModelsRequest";
              readonly responseType: "ListModelsResponse";
              readonly requestStream: undefined;
              readonly responseStream: undefined;
            };
        }

        /**
         * Properties of a GenerateRequest.
         * @deprecated Use moesaic.v1.GenerateRequest.$Properties instead.
         */
        interface IGenerateRequest extends moesaic.v1.GenerateRequest.$Properties {
        }

        /** Represents a GenerateRequest. */
        class GenerateRequest {

            /**
             * Constructs a new GenerateRequest.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.GenerateRequest.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** GenerateRequest request_id. */
            request_id: string;

            /** GenerateRequest model. */
            model: string;

            /** GenerateRequest prompt. */
            prompt?: (string|null);

            /** GenerateRequest token_ids. */
            token_ids?: (moesaic.v1.TokenIds.$Properties|null);

            /** GenerateRequest chat. */
            chat?: (moesaic.v1.ChatInput.$Properties|null);

            /** GenerateRequest sampling. */
            sampling?: (moesaic.v1.SamplingParams.$Properties|null);

            /** GenerateRequest priority. */
            priority: number;

            /** GenerateRequest constraint. */
            constraint?: (moesaic.v1.OutputConstraint.$Properties|null);

            /** GenerateRequest resume_after_offset. */
            resume_after_offset?: (number|null);

            /** GenerateRequest resumable. */
            resumable: boolean;

            /** GenerateRequest event_per_token. */
            event_per_token: boolean;

            /** GenerateRequest prefill_progress. */
            prefill_progress: boolean;

            /** GenerateRequest input. */
            input?: ("prompt"|"token_ids"|"chat");

            /**
             * Creates a new GenerateRequest instance using the specified properties.
             * @param [properties] Properties to set
             * @returns GenerateRequest instance
             */
            static create(properties: moesaic.v1.GenerateRequest.$Shape): moesaic.v1.GenerateRequest & moesaic.v1.GenerateRequest.$Shape;
            static create(properties?: moesaic.v1.GenerateRequest.$Properties): moesaic.v1.GenerateRequest;

            /**
             * Encodes the specified GenerateRequest message. Does not implicitly {@link moesaic.v1.GenerateRequest.verify|verify} messages.
             * @param message GenerateRequest message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.GenerateRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a GenerateRequest message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.GenerateRequest & moesaic.v1.GenerateRequest.$Shape} GenerateRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.GenerateRequest & moesaic.v1.GenerateRequest.$Shape;

            /**
             * Creates a GenerateRequest message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns GenerateRequest
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.GenerateRequest;

            /**
             * Creates a plain object from a GenerateRequest message. Also converts values to other types if specified.
             * @param message GenerateRequest
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.GenerateRequest, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this GenerateRequest to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for GenerateRequest
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace GenerateRequest {

            /** Properties of a GenerateRequest. */
            interface $Properties {

                /** GenerateRequest request_id */
                request_id?: (string|null);

                /** GenerateRequest model */
                model?: (string|null);

                /** GenerateRequest prompt */
                prompt?: (string|null);

                /** GenerateRequest token_ids */
                token_ids?: (moesaic.v1.TokenIds.$Properties|null);

                /** GenerateRequest chat */
                chat?: (moesaic.v1.ChatInput.$Properties|null);

                /** GenerateRequest sampling */
                sampling?: (moesaic.v1.SamplingParams.$Properties|null);

                /** GenerateRequest priority */
                priority?: (number|null);

                /** GenerateRequest constraint */
                constraint?: (moesaic.v1.OutputConstraint.$Properties|null);

                /** GenerateRequest resume_after_offset */
                resume_after_offset?: (number|null);

                /** GenerateRequest resumable */
                resumable?: (boolean|null);

                /** GenerateRequest event_per_token */
                event_per_token?: (boolean|null);

                /** GenerateRequest prefill_progress */
                prefill_progress?: (boolean|null);

                /** GenerateRequest input */
                input?: ("prompt"|"token_ids"|"chat");

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Narrowed shape of a GenerateRequest. */
            type $Shape = {
              request_id?: string|null;
              model?: string|null;
              prompt?: string|null;
              token_ids?: moesaic.v1.TokenIds.$Shape|null;
              chat?: moesaic.v1.ChatInput.$Shape|null;
              sampling?: moesaic.v1.SamplingParams.$Shape|null;
              priority?: number|null;
              constraint?: moesaic.v1.OutputConstraint.$Shape|null;
              resume_after_offset?: number|null;
              resumable?: boolean|null;
              event_per_token?: boolean|null;
              prefill_progress?: boolean|null;
              $unknowns?: Uint8Array[];
            } & (
              ({ input?: undefined; prompt?: null; token_ids?: null; chat?: null }|{ input?: "prompt"; prompt: string; token_ids?: null; chat?: null }|{ input?: "token_ids"; prompt?: null; token_ids: moesaic.v1.TokenIds.$Shape; chat?: null }|{ input?: "chat"; prompt?: null; token_ids?: null; chat: moesaic.v1.ChatInput.$Shape })
            );
        }

        /**
         * Properties of a CancelRequest.
         * @deprecated Use moesaic.v1.CancelRequest.$Properties instead.
         */
        interface ICancelRequest extends moesaic.v1.CancelRequest.$Properties {
        }

        /** Represents a CancelRequest. */
        class CancelRequest {

            /**
             * Constructs a new CancelRequest.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.CancelRequest.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** CancelRequest request_id. */
            request_id: string;

            /**
             * Creates a new CancelRequest instance using the specified properties.
             * @param [properties] Properties to set
             * @returns CancelRequest instance
             */
            static create(properties: moesaic.v1.CancelRequest.$Shape): moesaic.v1.CancelRequest & moesaic.v1.CancelRequest.$Shape;
            static create(properties?: moesaic.v1.CancelRequest.$Properties): moesaic.v1.CancelRequest;

            /**
             * Encodes the specified CancelRequest message. Does not implicitly {@link moesaic.v1.CancelRequest.verify|verify} messages.
             * @param message CancelRequest message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.CancelRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a CancelRequest message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.CancelRequest & moesaic.v1.CancelRequest.$Shape} CancelRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.CancelRequest & moesaic.v1.CancelRequest.$Shape;

            /**
             * Creates a CancelRequest message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns CancelRequest
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.CancelRequest;

            /**
             * Creates a plain object from a CancelRequest message. Also converts values to other types if specified.
             * @param message CancelRequest
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.CancelRequest, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this CancelRequest to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for CancelRequest
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace CancelRequest {

            /** Properties of a CancelRequest. */
            interface $Properties {

                /** CancelRequest request_id */
                request_id?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a CancelRequest. */
            type $Shape = moesaic.v1.CancelRequest.$Properties;
        }

        /**
         * Properties of a CancelResponse.
         * @deprecated Use moesaic.v1.CancelResponse.$Properties instead.
         */
        interface ICancelResponse extends moesaic.v1.CancelResponse.$Properties {
        }

        /** Represents a CancelResponse. */
        class CancelResponse {

            /**
             * Constructs a new CancelResponse.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.CancelResponse.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** CancelResponse found. */
            found: boolean;

            /**
             * Creates a new CancelResponse instance using the specified properties.
             * @param [properties] Properties to set
             * @returns CancelResponse instance
             */
            static create(properties: moesaic.v1.CancelResponse.$Shape): moesaic.v1.CancelResponse & moesaic.v1.CancelResponse.$Shape;
            static create(properties?: moesaic.v1.CancelResponse.$Properties): moesaic.v1.CancelResponse;

            /**
             * Encodes the specified CancelResponse message. Does not implicitly {@link moesaic.v1.CancelResponse.verify|verify} messages.
             * @param message CancelResponse message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.CancelResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a CancelResponse message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.CancelResponse & moesaic.v1.CancelResponse.$Shape} CancelResponse
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.CancelResponse & moesaic.v1.CancelResponse.$Shape;

            /**
             * Creates a CancelResponse message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns CancelResponse
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.CancelResponse;

            /**
             * Creates a plain object from a CancelResponse message. Also converts values to other types if specified.
             * @param message CancelResponse
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.CancelResponse, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this CancelResponse to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for CancelResponse
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace CancelResponse {

            /** Properties of a CancelResponse. */
            interface $Properties {

                /** CancelResponse found */
                found?: (boolean|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a CancelResponse. */
            type $Shape = moesaic.v1.CancelResponse.$Properties;
        }

        /**
         * Properties of a TokenIds.
         * @deprecated Use moesaic.v1.TokenIds.$Properties instead.
         */
        interface ITokenIds extends moesaic.v1.TokenIds.$Properties {
        }

        /** Represents a TokenIds. */
        class TokenIds {

            /**
             * Constructs a new TokenIds.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.TokenIds.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** TokenIds ids. */
            ids: number[];

            /**
             * Creates a new TokenIds instance using the specified properties.
             * @param [properties] Properties to set
             * @returns TokenIds instance
             */
            static create(properties: moesaic.v1.TokenIds.$Shape): moesaic.v1.TokenIds & moesaic.v1.TokenIds.$Shape;
            static create(properties?: moesaic.v1.TokenIds.$Properties): moesaic.v1.TokenIds;

            /**
             * Encodes the specified TokenIds message. Does not implicitly {@link moesaic.v1.TokenIds.verify|verify} messages.
             * @param message TokenIds message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.TokenIds.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a TokenIds message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.TokenIds & moesaic.v1.TokenIds.$Shape} TokenIds
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.TokenIds & moesaic.v1.TokenIds.$Shape;

            /**
             * Creates a TokenIds message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns TokenIds
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.TokenIds;

            /**
             * Creates a plain object from a TokenIds message. Also converts values to other types if specified.
             * @param message TokenIds
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.TokenIds, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this TokenIds to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for TokenIds
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace TokenIds {

            /** Properties of a TokenIds. */
            interface $Properties {

                /** TokenIds ids */
                ids?: (number[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a TokenIds. */
            type $Shape = moesaic.v1.TokenIds.$Properties;
        }

        /**
         * Properties of a ChatInput.
         * @deprecated Use moesaic.v1.ChatInput.$Properties instead.
         */
        interface IChatInput extends moesaic.v1.ChatInput.$Properties {
        }

        /** Represents a ChatInput. */
        class ChatInput {

            /**
             * Constructs a new ChatInput.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.ChatInput.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** ChatInput messages. */
            messages: moesaic.v1.ChatMessage.$Properties[];

            /** ChatInput tools. */
            tools: moesaic.v1.Tool.$Properties[];

            /** ChatInput reasoning_effort. */
            reasoning_effort: string;

            /** ChatInput current_date. */
            current_date: string;

            /** ChatInput model_identity. */
            model_identity: string;

            /** ChatInput knowledge_cutoff. */
            knowledge_cutoff: string;

            /** ChatInput response_format. */
            response_format?: (moesaic.v1.ResponseFormat.$Properties|null);

            /** ChatInput tool_choice. */
            tool_choice?: (moesaic.v1.ToolChoice.$Properties|null);

            /**
             * Creates a new ChatInput instance using the specified properties.
             * @param [properties] Properties to set
             * @returns ChatInput instance
             */
            static create(properties: moesaic.v1.ChatInput.$Shape): moesaic.v1.ChatInput & moesaic.v1.ChatInput.$Shape;
            static create(properties?: moesaic.v1.ChatInput.$Properties): moesaic.v1.ChatInput;

            /**
             * Encodes the specified ChatInput message. Does not implicitly {@link moesaic.v1.ChatInput.verify|verify} messages.
             * @param message ChatInput message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.ChatInput.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a ChatInput message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.ChatInput & moesaic.v1.ChatInput.$Shape} ChatInput
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.ChatInput & moesaic.v1.ChatInput.$Shape;

            /**
             * Creates a ChatInput message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns ChatInput
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.ChatInput;

            /**
             * Creates a plain object from a ChatInput message. Also converts values to other types if specified.
             * @param message ChatInput
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.ChatInput, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this ChatInput to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for ChatInput
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace ChatInput {

            /** Properties of a ChatInput. */
            interface $Properties {

                /** ChatInput messages */
                messages?: (moesaic.v1.ChatMessage.$Properties[]|null);

                /** ChatInput tools */
                tools?: (moesaic.v1.Tool.$Properties[]|null);

                /** ChatInput reasoning_effort */
                reasoning_effort?: (string|null);

                /** ChatInput current_date */
                current_date?: (string|null);

                /** ChatInput model_identity */
                model_identity?: (string|null);

                /** ChatInput knowledge_cutoff */
                knowledge_cutoff?: (string|null);

                /** ChatInput response_format */
                response_format?: (moesaic.v1.ResponseFormat.$Properties|null);

                /** ChatInput tool_choice */
                tool_choice?: (moesaic.v1.ToolChoice.$Properties|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a ChatInput. */
            type $Shape = moesaic.v1.ChatInput.$Properties;
        }

        /**
         * Properties of a ToolChoice.
         * @deprecated Use moesaic.v1.ToolChoice.$Properties instead.
         */
        interface IToolChoice extends moesaic.v1.ToolChoice.$Properties {
        }

        /** Represents a ToolChoice. */
        class ToolChoice {

            /**
             * Constructs a new ToolChoice.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.ToolChoice.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** ToolChoice mode. */
            mode: string;

            /** ToolChoice name. */
            name: string;

            /**
             * Creates a new ToolChoice instance using the specified properties.
             * @param [properties] Properties to set
             * @returns ToolChoice instance
             */
            static create(properties: moesaic.v1.ToolChoice.$Shape): moesaic.v1.ToolChoice & moesaic.v1.ToolChoice.$Shape;
            static create(properties?: moesaic.v1.ToolChoice.$Properties): moesaic.v1.ToolChoice;

            /**
             * Encodes the specified ToolChoice message. Does not implicitly {@link moesaic.v1.ToolChoice.verify|verify} messages.
             * @param message ToolChoice message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.ToolChoice.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a ToolChoice message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.ToolChoice & moesaic.v1.ToolChoice.$Shape} ToolChoice
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.ToolChoice & moesaic.v1.ToolChoice.$Shape;

            /**
             * Creates a ToolChoice message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns ToolChoice
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.ToolChoice;

            /**
             * Creates a plain object from a ToolChoice message. Also converts values to other types if specified.
             * @param message ToolChoice
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.ToolChoice, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this ToolChoice to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for ToolChoice
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace ToolChoice {

            /** Properties of a ToolChoice. */
            interface $Properties {

                /** ToolChoice mode */
                mode?: (string|null);

                /** ToolChoice name */
                name?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a ToolChoice. */
            type $Shape = moesaic.v1.ToolChoice.$Properties;
        }

        /**
         * Properties of a ResponseFormat.
         * @deprecated Use moesaic.v1.ResponseFormat.$Properties instead.
         */
        interface IResponseFormat extends moesaic.v1.ResponseFormat.$Properties {
        }

        /** Represents a ResponseFormat. */
        class ResponseFormat {

            /**
             * Constructs a new ResponseFormat.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.ResponseFormat.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** ResponseFormat name. */
            name: string;

            /** ResponseFormat schema_json. */
            schema_json: string;

            /**
             * Creates a new ResponseFormat instance using the specified properties.
             * @param [properties] Properties to set
             * @returns ResponseFormat instance
             */
            static create(properties: moesaic.v1.ResponseFormat.$Shape): moesaic.v1.ResponseFormat & moesaic.v1.ResponseFormat.$Shape;
            static create(properties?: moesaic.v1.ResponseFormat.$Properties): moesaic.v1.ResponseFormat;

            /**
             * Encodes the specified ResponseFormat message. Does not implicitly {@link moesaic.v1.ResponseFormat.verify|verify} messages.
             * @param message ResponseFormat message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.ResponseFormat.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a ResponseFormat message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.ResponseFormat & moesaic.v1.ResponseFormat.$Shape} ResponseFormat
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.ResponseFormat & moesaic.v1.ResponseFormat.$Shape;

            /**
             * Creates a ResponseFormat message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns ResponseFormat
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.ResponseFormat;

            /**
             * Creates a plain object from a ResponseFormat message. Also converts values to other types if specified.
             * @param message ResponseFormat
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.ResponseFormat, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this ResponseFormat to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for ResponseFormat
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace ResponseFormat {

            /** Properties of a ResponseFormat. */
            interface $Properties {

                /** ResponseFormat name */
                name?: (string|null);

                /** ResponseFormat schema_json */
                schema_json?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a ResponseFormat. */
            type $Shape = moesaic.v1.ResponseFormat.$Properties;
        }

        /**
         * Properties of a ChatMessage.
         * @deprecated Use moesaic.v1.ChatMessage.$Properties instead.
         */
        interface IChatMessage extends moesaic.v1.ChatMessage.$Properties {
        }

        /** Represents a ChatMessage. */
        class ChatMessage {

            /**
             * Constructs a new ChatMessage.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.ChatMessage.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** ChatMessage role. */
            role: string;

            /** ChatMessage content. */
            content: string;

            /** ChatMessage name. */
            name: string;

            /** ChatMessage reasoning. */
            reasoning: string;

            /** ChatMessage tool_calls. */
            tool_calls: moesaic.v1.ToolCall.$Properties[];

            /** ChatMessage tool_call_id. */
            tool_call_id: string;

            /**
             * Creates a new ChatMessage instance using the specified properties.
             * @param [properties] Properties to set
             * @returns ChatMessage instance
             */
            static create(properties: moesaic.v1.ChatMessage.$Shape): moesaic.v1.ChatMessage & moesaic.v1.ChatMessage.$Shape;
            static create(properties?: moesaic.v1.ChatMessage.$Properties): moesaic.v1.ChatMessage;

            /**
             * Encodes the specified ChatMessage message. Does not implicitly {@link moesaic.v1.ChatMessage.verify|verify} messages.
             * @param message ChatMessage message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.ChatMessage.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a ChatMessage message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.ChatMessage & moesaic.v1.ChatMessage.$Shape} ChatMessage
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.ChatMessage & moesaic.v1.ChatMessage.$Shape;

            /**
             * Creates a ChatMessage message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns ChatMessage
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.ChatMessage;

            /**
             * Creates a plain object from a ChatMessage message. Also converts values to other types if specified.
             * @param message ChatMessage
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.ChatMessage, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this ChatMessage to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for ChatMessage
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace ChatMessage {

            /** Properties of a ChatMessage. */
            interface $Properties {

                /** ChatMessage role */
                role?: (string|null);

                /** ChatMessage content */
                content?: (string|null);

                /** ChatMessage name */
                name?: (string|null);

                /** ChatMessage reasoning */
                reasoning?: (string|null);

                /** ChatMessage tool_calls */
                tool_calls?: (moesaic.v1.ToolCall.$Properties[]|null);

                /** ChatMessage tool_call_id */
                tool_call_id?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a ChatMessage. */
            type $Shape = moesaic.v1.ChatMessage.$Properties;
        }

        /**
         * Properties of a ToolCall.
         * @deprecated Use moesaic.v1.ToolCall.$Properties instead.
         */
        interface IToolCall extends moesaic.v1.ToolCall.$Properties {
        }

        /** Represents a ToolCall. */
        class ToolCall {

            /**
             * Constructs a new ToolCall.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.ToolCall.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** ToolCall id. */
            id: string;

            /** ToolCall name. */
            name: string;

            /** ToolCall arguments. */
            arguments: string;

            /**
             * Creates a new ToolCall instance using the specified properties.
             * @param [properties] Properties to set
             * @returns ToolCall instance
             */
            static create(properties: moesaic.v1.ToolCall.$Shape): moesaic.v1.ToolCall & moesaic.v1.ToolCall.$Shape;
            static create(properties?: moesaic.v1.ToolCall.$Properties): moesaic.v1.ToolCall;

            /**
             * Encodes the specified ToolCall message. Does not implicitly {@link moesaic.v1.ToolCall.verify|verify} messages.
             * @param message ToolCall message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.ToolCall.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a ToolCall message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.ToolCall & moesaic.v1.ToolCall.$Shape} ToolCall
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.ToolCall & moesaic.v1.ToolCall.$Shape;

            /**
             * Creates a ToolCall message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns ToolCall
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.ToolCall;

            /**
             * Creates a plain object from a ToolCall message. Also converts values to other types if specified.
             * @param message ToolCall
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.ToolCall, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this ToolCall to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for ToolCall
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace ToolCall {

            /** Properties of a ToolCall. */
            interface $Properties {

                /** ToolCall id */
                id?: (string|null);

                /** ToolCall name */
                name?: (string|null);

                /** ToolCall arguments */
                "arguments"?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a ToolCall. */
            type $Shape = moesaic.v1.ToolCall.$Properties;
        }

        /**
         * Properties of a Tool.
         * @deprecated Use moesaic.v1.Tool.$Properties instead.
         */
        interface ITool extends moesaic.v1.Tool.$Properties {
        }

        /** Represents a Tool. */
        class Tool {

            /**
             * Constructs a new Tool.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Tool.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Tool name. */
            name: string;

            /** Tool description. */
            description: string;

            /** Tool parameters_json. */
            parameters_json: string;

            /** Tool strict. */
            strict: boolean;

            /**
             * Creates a new Tool instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Tool instance
             */
            static create(properties: moesaic.v1.Tool.$Shape): moesaic.v1.Tool & moesaic.v1.Tool.$Shape;
            static create(properties?: moesaic.v1.Tool.$Properties): moesaic.v1.Tool;

            /**
             * Encodes the specified Tool message. Does not implicitly {@link moesaic.v1.Tool.verify|verify} messages.
             * @param message Tool message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Tool.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Tool message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Tool & moesaic.v1.Tool.$Shape} Tool
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Tool & moesaic.v1.Tool.$Shape;

            /**
             * Creates a Tool message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Tool
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Tool;

            /**
             * Creates a plain object from a Tool message. Also converts values to other types if specified.
             * @param message Tool
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Tool, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Tool to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Tool
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Tool {

            /** Properties of a Tool. */
            interface $Properties {

                /** Tool name */
                name?: (string|null);

                /** Tool description */
                description?: (string|null);

                /** Tool parameters_json */
                parameters_json?: (string|null);

                /** Tool strict */
                strict?: (boolean|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Tool. */
            type $Shape = moesaic.v1.Tool.$Properties;
        }

        /**
         * Properties of an OutputConstraint.
         * @deprecated Use moesaic.v1.OutputConstraint.$Properties instead.
         */
        interface IOutputConstraint extends moesaic.v1.OutputConstraint.$Properties {
        }

        /** Represents an OutputConstraint. */
        class OutputConstraint {

            /**
             * Constructs a new OutputConstraint.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.OutputConstraint.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** OutputConstraint json_schema. */
            json_schema?: (string|null);

            /** OutputConstraint regex. */
            regex?: (string|null);

            /** OutputConstraint choice. */
            choice?: (moesaic.v1.Choices.$Properties|null);

            /** OutputConstraint kind. */
            kind?: ("json_schema"|"regex"|"choice");

            /**
             * Creates a new OutputConstraint instance using the specified properties.
             * @param [properties] Properties to set
             * @returns OutputConstraint instance
             */
            static create(properties: moesaic.v1.OutputConstraint.$Shape): moesaic.v1.OutputConstraint & moesaic.v1.OutputConstraint.$Shape;
            static create(properties?: moesaic.v1.OutputConstraint.$Properties): moesaic.v1.OutputConstraint;

            /**
             * Encodes the specified OutputConstraint message. Does not implicitly {@link moesaic.v1.OutputConstraint.verify|verify} messages.
             * @param message OutputConstraint message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.OutputConstraint.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes an OutputConstraint message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.OutputConstraint & moesaic.v1.OutputConstraint.$Shape} OutputConstraint
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.OutputConstraint & moesaic.v1.OutputConstraint.$Shape;

            /**
             * Creates an OutputConstraint message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns OutputConstraint
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.OutputConstraint;

            /**
             * Creates a plain object from an OutputConstraint message. Also converts values to other types if specified.
             * @param message OutputConstraint
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.OutputConstraint, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this OutputConstraint to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for OutputConstraint
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace OutputConstraint {

            /** Properties of an OutputConstraint. */
            interface $Properties {

                /** OutputConstraint json_schema */
                json_schema?: (string|null);

                /** OutputConstraint regex */
                regex?: (string|null);

                /** OutputConstraint choice */
                choice?: (moesaic.v1.Choices.$Properties|null);

                /** OutputConstraint kind */
                kind?: ("json_schema"|"regex"|"choice");

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Narrowed shape of an OutputConstraint. */
            type $Shape = {
              json_schema?: string|null;
              regex?: string|null;
              choice?: moesaic.v1.Choices.$Shape|null;
              $unknowns?: Uint8Array[];
            } & (
              ({ kind?: undefined; json_schema?: null; regex?: null; choice?: null }|{ kind?: "json_schema"; json_schema: string; regex?: null; choice?: null }|{ kind?: "regex"; json_schema?: null; regex: string; choice?: null }|{ kind?: "choice"; json_schema?: null; regex?: null; choice: moesaic.v1.Choices.$Shape })
            );
        }

        /**
         * Properties of a Choices.
         * @deprecated Use moesaic.v1.Choices.$Properties instead.
         */
        interface IChoices extends moesaic.v1.Choices.$Properties {
        }

        /** Represents a Choices. */
        class Choices {

            /**
             * Constructs a new Choices.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Choices.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Choices values. */
            values: string[];

            /**
             * Creates a new Choices instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Choices instance
             */
            static create(properties: moesaic.v1.Choices.$Shape): moesaic.v1.Choices & moesaic.v1.Choices.$Shape;
            static create(properties?: moesaic.v1.Choices.$Properties): moesaic.v1.Choices;

            /**
             * Encodes the specified Choices message. Does not implicitly {@link moesaic.v1.Choices.verify|verify} messages.
             * @param message Choices message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Choices.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Choices message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Choices & moesaic.v1.Choices.$Shape} Choices
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Choices & moesaic.v1.Choices.$Shape;

            /**
             * Creates a Choices message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Choices
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Choices;

            /**
             * Creates a plain object from a Choices message. Also converts values to other types if specified.
             * @param message Choices
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Choices, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Choices to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Choices
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Choices {

            /** Properties of a Choices. */
            interface $Properties {

                /** Choices values */
                values?: (string[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Choices. */
            type $Shape = moesaic.v1.Choices.$Properties;
        }

        /**
         * Properties of a SamplingParams.
         * @deprecated Use moesaic.v1.SamplingParams.$Properties instead.
         */
        interface ISamplingParams extends moesaic.v1.SamplingParams.$Properties {
        }

        /** Represents a SamplingParams. */
        class SamplingParams {

            /**
             * Constructs a new SamplingParams.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.SamplingParams.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** SamplingParams temperature. */
            temperature?: (number|null);

            /** SamplingParams top_p. */
            top_p?: (number|null);

            /** SamplingParams top_k. */
            top_k?: (number|null);

            /** SamplingParams min_p. */
            min_p?: (number|null);

            /** SamplingParams presence_penalty. */
            presence_penalty?: (number|null);

            /** SamplingParams frequency_penalty. */
            frequency_penalty?: (number|null);

            /** SamplingParams repetition_penalty. */
            repetition_penalty?: (number|null);

            /** SamplingParams seed. */
            seed?: (number|null);

            /** SamplingParams max_tokens. */
            max_tokens?: (number|null);

            /** SamplingParams min_tokens. */
            min_tokens?: (number|null);

            /** SamplingParams stop. */
            stop: string[];

            /** SamplingParams stop_token_ids. */
            stop_token_ids: number[];

            /** SamplingParams ignore_eos. */
            ignore_eos: boolean;

            /** SamplingParams logprobs. */
            logprobs?: (number|null);

            /** SamplingParams logit_bias. */
            logit_bias: { [k: string]: number };

            /** SamplingParams n. */
            n?: (number|null);

            /**
             * Creates a new SamplingParams instance using the specified properties.
             * @param [properties] Properties to set
             * @returns SamplingParams instance
             */
            static create(properties: moesaic.v1.SamplingParams.$Shape): moesaic.v1.SamplingParams & moesaic.v1.SamplingParams.$Shape;
            static create(properties?: moesaic.v1.SamplingParams.$Properties): moesaic.v1.SamplingParams;

            /**
             * Encodes the specified SamplingParams message. Does not implicitly {@link moesaic.v1.SamplingParams.verify|verify} messages.
             * @param message SamplingParams message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.SamplingParams.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a SamplingParams message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.SamplingParams & moesaic.v1.SamplingParams.$Shape} SamplingParams
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.SamplingParams & moesaic.v1.SamplingParams.$Shape;

            /**
             * Creates a SamplingParams message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns SamplingParams
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.SamplingParams;

            /**
             * Creates a plain object from a SamplingParams message. Also converts values to other types if specified.
             * @param message SamplingParams
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.SamplingParams, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this SamplingParams to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for SamplingParams
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace SamplingParams {

            /** Properties of a SamplingParams. */
            interface $Properties {

                /** SamplingParams temperature */
                temperature?: (number|null);

                /** SamplingParams top_p */
                top_p?: (number|null);

                /** SamplingParams top_k */
                top_k?: (number|null);

                /** SamplingParams min_p */
                min_p?: (number|null);

                /** SamplingParams presence_penalty */
                presence_penalty?: (number|null);

                /** SamplingParams frequency_penalty */
                frequency_penalty?: (number|null);

                /** SamplingParams repetition_penalty */
                repetition_penalty?: (number|null);

                /** SamplingParams seed */
                seed?: (number|null);

                /** SamplingParams max_tokens */
                max_tokens?: (number|null);

                /** SamplingParams min_tokens */
                min_tokens?: (number|null);

                /** SamplingParams stop */
                stop?: (string[]|null);

                /** SamplingParams stop_token_ids */
                stop_token_ids?: (number[]|null);

                /** SamplingParams ignore_eos */
                ignore_eos?: (boolean|null);

                /** SamplingParams logprobs */
                logprobs?: (number|null);

                /** SamplingParams logit_bias */
                logit_bias?: ({ [k: string]: number }|null);

                /** SamplingParams n */
                n?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a SamplingParams. */
            type $Shape = moesaic.v1.SamplingParams.$Properties;
        }

        /**
         * Properties of a GenerateEvent.
         * @deprecated Use moesaic.v1.GenerateEvent.$Properties instead.
         */
        interface IGenerateEvent extends moesaic.v1.GenerateEvent.$Properties {
        }

        /** Represents a GenerateEvent. */
        class GenerateEvent {

            /**
             * Constructs a new GenerateEvent.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.GenerateEvent.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** GenerateEvent request_id. */
            request_id: string;

            /** GenerateEvent choice. */
            choice: number;

            /** GenerateEvent offset. */
            offset: number;

            /** GenerateEvent started. */
            started?: (moesaic.v1.Started.$Properties|null);

            /** GenerateEvent delta. */
            delta?: (moesaic.v1.Delta.$Properties|null);

            /** GenerateEvent finish. */
            finish?: (moesaic.v1.Finish.$Properties|null);

            /** GenerateEvent prefill. */
            prefill?: (moesaic.v1.Prefill.$Properties|null);

            /** GenerateEvent event. */
            event?: ("started"|"delta"|"finish"|"prefill");

            /**
             * Creates a new GenerateEvent instance using the specified properties.
             * @param [properties] Properties to set
             * @returns GenerateEvent instance
             */
            static create(properties: moesaic.v1.GenerateEvent.$Shape): moesaic.v1.GenerateEvent & moesaic.v1.GenerateEvent.$Shape;
            static create(properties?: moesaic.v1.GenerateEvent.$Properties): moesaic.v1.GenerateEvent;

            /**
             * Encodes the specified GenerateEvent message. Does not implicitly {@link moesaic.v1.GenerateEvent.verify|verify} messages.
             * @param message GenerateEvent message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.GenerateEvent.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a GenerateEvent message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.GenerateEvent & moesaic.v1.GenerateEvent.$Shape} GenerateEvent
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.GenerateEvent & moesaic.v1.GenerateEvent.$Shape;

            /**
             * Creates a GenerateEvent message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns GenerateEvent
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.GenerateEvent;

            /**
             * Creates a plain object from a GenerateEvent message. Also converts values to other types if specified.
             * @param message GenerateEvent
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.GenerateEvent, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this GenerateEvent to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for GenerateEvent
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace GenerateEvent {

            /** Properties of a GenerateEvent. */
            interface $Properties {

                /** GenerateEvent request_id */
                request_id?: (string|null);

                /** GenerateEvent choice */
                choice?: (number|null);

                /** GenerateEvent offset */
                offset?: (number|null);

                /** GenerateEvent started */
                started?: (moesaic.v1.Started.$Properties|null);

                /** GenerateEvent delta */
                delta?: (moesaic.v1.Delta.$Properties|null);

                /** GenerateEvent finish */
                finish?: (moesaic.v1.Finish.$Properties|null);

                /** GenerateEvent prefill */
                prefill?: (moesaic.v1.Prefill.$Properties|null);

                /** GenerateEvent event */
                event?: ("started"|"delta"|"finish"|"prefill");

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Narrowed shape of a GenerateEvent. */
            type $Shape = {
              request_id?: string|null;
              choice?: number|null;
              offset?: number|null;
              started?: moesaic.v1.Started.$Shape|null;
              delta?: moesaic.v1.Delta.$Shape|null;
              finish?: moesaic.v1.Finish.$Shape|null;
              prefill?: moesaic.v1.Prefill.$Shape|null;
              $unknowns?: Uint8Array[];
            } & (
              ({ event?: undefined; started?: null; delta?: null; finish?: null; prefill?: null }|{ event?: "started"; started: moesaic.v1.Started.$Shape; delta?: null; finish?: null; prefill?: null }|{ event?: "delta"; started?: null; delta: moesaic.v1.Delta.$Shape; finish?: null; prefill?: null }|{ event?: "finish"; started?: null; delta?: null; finish: moesaic.v1.Finish.$Shape; prefill?: null }|{ event?: "prefill"; started?: null; delta?: null; finish?: null; prefill: moesaic.v1.Prefill.$Shape })
            );
        }

        /**
         * Properties of a Started.
         * @deprecated Use moesaic.v1.Started.$Properties instead.
         */
        interface IStarted extends moesaic.v1.Started.$Properties {
        }

        /** Represents a Started. */
        class Started {

            /**
             * Constructs a new Started.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Started.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Started model. */
            model: string;

            /** Started prompt_token_ids. */
            prompt_token_ids: number[];

            /**
             * Creates a new Started instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Started instance
             */
            static create(properties: moesaic.v1.Started.$Shape): moesaic.v1.Started & moesaic.v1.Started.$Shape;
            static create(properties?: moesaic.v1.Started.$Properties): moesaic.v1.Started;

            /**
             * Encodes the specified Started message. Does not implicitly {@link moesaic.v1.Started.verify|verify} messages.
             * @param message Started message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Started.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Started message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Started & moesaic.v1.Started.$Shape} Started
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Started & moesaic.v1.Started.$Shape;

            /**
             * Creates a Started message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Started
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Started;

            /**
             * Creates a plain object from a Started message. Also converts values to other types if specified.
             * @param message Started
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Started, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Started to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Started
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Started {

            /** Properties of a Started. */
            interface $Properties {

                /** Started model */
                model?: (string|null);

                /** Started prompt_token_ids */
                prompt_token_ids?: (number[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Started. */
            type $Shape = moesaic.v1.Started.$Properties;
        }

        /**
         * Properties of a Prefill.
         * @deprecated Use moesaic.v1.Prefill.$Properties instead.
         */
        interface IPrefill extends moesaic.v1.Prefill.$Properties {
        }

        /** Represents a Prefill. */
        class Prefill {

            /**
             * Constructs a new Prefill.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Prefill.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Prefill num_done. */
            num_done: number;

            /** Prefill num_prompt_tokens. */
            num_prompt_tokens: number;

            /**
             * Creates a new Prefill instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Prefill instance
             */
            static create(properties: moesaic.v1.Prefill.$Shape): moesaic.v1.Prefill & moesaic.v1.Prefill.$Shape;
            static create(properties?: moesaic.v1.Prefill.$Properties): moesaic.v1.Prefill;

            /**
             * Encodes the specified Prefill message. Does not implicitly {@link moesaic.v1.Prefill.verify|verify} messages.
             * @param message Prefill message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Prefill.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Prefill message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Prefill & moesaic.v1.Prefill.$Shape} Prefill
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Prefill & moesaic.v1.Prefill.$Shape;

            /**
             * Creates a Prefill message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Prefill
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Prefill;

            /**
             * Creates a plain object from a Prefill message. Also converts values to other types if specified.
             * @param message Prefill
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Prefill, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Prefill to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Prefill
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Prefill {

            /** Properties of a Prefill. */
            interface $Properties {

                /** Prefill num_done */
                num_done?: (number|null);

                /** Prefill num_prompt_tokens */
                num_prompt_tokens?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Prefill. */
            type $Shape = moesaic.v1.Prefill.$Properties;
        }

        /**
         * Properties of a Delta.
         * @deprecated Use moesaic.v1.Delta.$Properties instead.
         */
        interface IDelta extends moesaic.v1.Delta.$Properties {
        }

        /** Represents a Delta. */
        class Delta {

            /**
             * Constructs a new Delta.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Delta.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Delta token_ids. */
            token_ids: number[];

            /** Delta text. */
            text: moesaic.v1.TextDelta.$Properties[];

            /** Delta logprobs. */
            logprobs: moesaic.v1.TokenLogprob.$Properties[];

            /**
             * Creates a new Delta instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Delta instance
             */
            static create(properties: moesaic.v1.Delta.$Shape): moesaic.v1.Delta & moesaic.v1.Delta.$Shape;
            static create(properties?: moesaic.v1.Delta.$Properties): moesaic.v1.Delta;

            /**
             * Encodes the specified Delta message. Does not implicitly {@link moesaic.v1.Delta.verify|verify} messages.
             * @param message Delta message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Delta.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Delta message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Delta & moesaic.v1.Delta.$Shape} Delta
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Delta & moesaic.v1.Delta.$Shape;

            /**
             * Creates a Delta message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Delta
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Delta;

            /**
             * Creates a plain object from a Delta message. Also converts values to other types if specified.
             * @param message Delta
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Delta, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Delta to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Delta
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Delta {

            /** Properties of a Delta. */
            interface $Properties {

                /** Delta token_ids */
                token_ids?: (number[]|null);

                /** Delta text */
                text?: (moesaic.v1.TextDelta.$Properties[]|null);

                /** Delta logprobs */
                logprobs?: (moesaic.v1.TokenLogprob.$Properties[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Delta. */
            type $Shape = moesaic.v1.Delta.$Properties;
        }

        /**
         * Properties of a TextDelta.
         * @deprecated Use moesaic.v1.TextDelta.$Properties instead.
         */
        interface ITextDelta extends moesaic.v1.TextDelta.$Properties {
        }

        /** Represents a TextDelta. */
        class TextDelta {

            /**
             * Constructs a new TextDelta.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.TextDelta.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** TextDelta kind. */
            kind: moesaic.v1.TextDelta.Kind;

            /** TextDelta text. */
            text: string;

            /** TextDelta tool_call_index. */
            tool_call_index: number;

            /** TextDelta tool_call_id. */
            tool_call_id: string;

            /** TextDelta tool_name. */
            tool_name: string;

            /** TextDelta message_index. */
            message_index: number;

            /** TextDelta is_preamble. */
            is_preamble: boolean;

            /**
             * Creates a new TextDelta instance using the specified properties.
             * @param [properties] Properties to set
             * @returns TextDelta instance
             */
            static create(properties: moesaic.v1.TextDelta.$Shape): moesaic.v1.TextDelta & moesaic.v1.TextDelta.$Shape;
            static create(properties?: moesaic.v1.TextDelta.$Properties): moesaic.v1.TextDelta;

            /**
             * Encodes the specified TextDelta message. Does not implicitly {@link moesaic.v1.TextDelta.verify|verify} messages.
             * @param message TextDelta message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.TextDelta.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a TextDelta message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.TextDelta & moesaic.v1.TextDelta.$Shape} TextDelta
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.TextDelta & moesaic.v1.TextDelta.$Shape;

            /**
             * Creates a TextDelta message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns TextDelta
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.TextDelta;

            /**
             * Creates a plain object from a TextDelta message. Also converts values to other types if specified.
             * @param message TextDelta
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.TextDelta, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this TextDelta to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for TextDelta
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace TextDelta {

            /** Properties of a TextDelta. */
            interface $Properties {

                /** TextDelta kind */
                kind?: (moesaic.v1.TextDelta.Kind|null);

                /** TextDelta text */
                text?: (string|null);

                /** TextDelta tool_call_index */
                tool_call_index?: (number|null);

                /** TextDelta tool_call_id */
                tool_call_id?: (string|null);

                /** TextDelta tool_name */
                tool_name?: (string|null);

                /** TextDelta message_index */
                message_index?: (number|null);

                /** TextDelta is_preamble */
                is_preamble?: (boolean|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a TextDelta. */
            type $Shape = moesaic.v1.TextDelta.$Properties;

            /** Kind enum. */
            enum Kind {

                /** RAW value */
                RAW = 0,

                /** REASONING value */
                REASONING = 1,

                /** CONTENT value */
                CONTENT = 2,

                /** TOOL_CALL value */
                TOOL_CALL = 3
            }
        }

        /**
         * Properties of a TokenLogprob.
         * @deprecated Use moesaic.v1.TokenLogprob.$Properties instead.
         */
        interface ITokenLogprob extends moesaic.v1.TokenLogprob.$Properties {
        }

        /** Represents a TokenLogprob. */
        class TokenLogprob {

            /**
             * Constructs a new TokenLogprob.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.TokenLogprob.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** TokenLogprob token_id. */
            token_id: number;

            /** TokenLogprob logprob. */
            logprob: number;

            /** TokenLogprob top. */
            top: moesaic.v1.TopLogprob.$Properties[];

            /** TokenLogprob token. */
            token: Uint8Array;

            /** TokenLogprob kind. */
            kind?: (moesaic.v1.TextDelta.Kind|null);

            /**
             * Creates a new TokenLogprob instance using the specified properties.
             * @param [properties] Properties to set
             * @returns TokenLogprob instance
             */
            static create(properties: moesaic.v1.TokenLogprob.$Shape): moesaic.v1.TokenLogprob & moesaic.v1.TokenLogprob.$Shape;
            static create(properties?: moesaic.v1.TokenLogprob.$Properties): moesaic.v1.TokenLogprob;

            /**
             * Encodes the specified TokenLogprob message. Does not implicitly {@link moesaic.v1.TokenLogprob.verify|verify} messages.
             * @param message TokenLogprob message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.TokenLogprob.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a TokenLogprob message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.TokenLogprob & moesaic.v1.TokenLogprob.$Shape} TokenLogprob
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.TokenLogprob & moesaic.v1.TokenLogprob.$Shape;

            /**
             * Creates a TokenLogprob message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns TokenLogprob
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.TokenLogprob;

            /**
             * Creates a plain object from a TokenLogprob message. Also converts values to other types if specified.
             * @param message TokenLogprob
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.TokenLogprob, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this TokenLogprob to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for TokenLogprob
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace TokenLogprob {

            /** Properties of a TokenLogprob. */
            interface $Properties {

                /** TokenLogprob token_id */
                token_id?: (number|null);

                /** TokenLogprob logprob */
                logprob?: (number|null);

                /** TokenLogprob top */
                top?: (moesaic.v1.TopLogprob.$Properties[]|null);

                /** TokenLogprob token */
                token?: (Uint8Array|null);

                /** TokenLogprob kind */
                kind?: (moesaic.v1.TextDelta.Kind|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a TokenLogprob. */
            type $Shape = moesaic.v1.TokenLogprob.$Properties;
        }

        /**
         * Properties of a TopLogprob.
         * @deprecated Use moesaic.v1.TopLogprob.$Properties instead.
         */
        interface ITopLogprob extends moesaic.v1.TopLogprob.$Properties {
        }

        /** Represents a TopLogprob. */
        class TopLogprob {

            /**
             * Constructs a new TopLogprob.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.TopLogprob.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** TopLogprob token_id. */
            token_id: number;

            /** TopLogprob logprob. */
            logprob: number;

            /** TopLogprob token. */
            token: Uint8Array;

            /**
             * Creates a new TopLogprob instance using the specified properties.
             * @param [properties] Properties to set
             * @returns TopLogprob instance
             */
            static create(properties: moesaic.v1.TopLogprob.$Shape): moesaic.v1.TopLogprob & moesaic.v1.TopLogprob.$Shape;
            static create(properties?: moesaic.v1.TopLogprob.$Properties): moesaic.v1.TopLogprob;

            /**
             * Encodes the specified TopLogprob message. Does not implicitly {@link moesaic.v1.TopLogprob.verify|verify} messages.
             * @param message TopLogprob message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.TopLogprob.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a TopLogprob message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.TopLogprob & moesaic.v1.TopLogprob.$Shape} TopLogprob
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.TopLogprob & moesaic.v1.TopLogprob.$Shape;

            /**
             * Creates a TopLogprob message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns TopLogprob
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.TopLogprob;

            /**
             * Creates a plain object from a TopLogprob message. Also converts values to other types if specified.
             * @param message TopLogprob
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.TopLogprob, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this TopLogprob to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for TopLogprob
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace TopLogprob {

            /** Properties of a TopLogprob. */
            interface $Properties {

                /** TopLogprob token_id */
                token_id?: (number|null);

                /** TopLogprob logprob */
                logprob?: (number|null);

                /** TopLogprob token */
                token?: (Uint8Array|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a TopLogprob. */
            type $Shape = moesaic.v1.TopLogprob.$Properties;
        }

        /**
         * Properties of a Finish.
         * @deprecated Use moesaic.v1.Finish.$Properties instead.
         */
        interface IFinish extends moesaic.v1.Finish.$Properties {
        }

        /** Represents a Finish. */
        class Finish {

            /**
             * Constructs a new Finish.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Finish.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Finish reason. */
            reason: string;

            /** Finish stop_string. */
            stop_string: string;

            /** Finish stop_token_id. */
            stop_token_id?: (number|null);

            /** Finish usage. */
            usage?: (moesaic.v1.Usage.$Properties|null);

            /** Finish timings. */
            timings?: (moesaic.v1.Timings.$Properties|null);

            /** Finish error. */
            error?: (moesaic.v1.ErrorDetail.$Properties|null);

            /**
             * Creates a new Finish instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Finish instance
             */
            static create(properties: moesaic.v1.Finish.$Shape): moesaic.v1.Finish & moesaic.v1.Finish.$Shape;
            static create(properties?: moesaic.v1.Finish.$Properties): moesaic.v1.Finish;

            /**
             * Encodes the specified Finish message. Does not implicitly {@link moesaic.v1.Finish.verify|verify} messages.
             * @param message Finish message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Finish.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Finish message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Finish & moesaic.v1.Finish.$Shape} Finish
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Finish & moesaic.v1.Finish.$Shape;

            /**
             * Creates a Finish message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Finish
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Finish;

            /**
             * Creates a plain object from a Finish message. Also converts values to other types if specified.
             * @param message Finish
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Finish, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Finish to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Finish
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Finish {

            /** Properties of a Finish. */
            interface $Properties {

                /** Finish reason */
                reason?: (string|null);

                /** Finish stop_string */
                stop_string?: (string|null);

                /** Finish stop_token_id */
                stop_token_id?: (number|null);

                /** Finish usage */
                usage?: (moesaic.v1.Usage.$Properties|null);

                /** Finish timings */
                timings?: (moesaic.v1.Timings.$Properties|null);

                /** Finish error */
                error?: (moesaic.v1.ErrorDetail.$Properties|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Finish. */
            type $Shape = moesaic.v1.Finish.$Properties;
        }

        /**
         * Properties of a Usage.
         * @deprecated Use moesaic.v1.Usage.$Properties instead.
         */
        interface IUsage extends moesaic.v1.Usage.$Properties {
        }

        /** Represents a Usage. */
        class Usage {

            /**
             * Constructs a new Usage.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Usage.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Usage prompt_tokens. */
            prompt_tokens: number;

            /** Usage completion_tokens. */
            completion_tokens: number;

            /** Usage cached_tokens. */
            cached_tokens: number;

            /** Usage reasoning_tokens. */
            reasoning_tokens: number;

            /**
             * Creates a new Usage instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Usage instance
             */
            static create(properties: moesaic.v1.Usage.$Shape): moesaic.v1.Usage & moesaic.v1.Usage.$Shape;
            static create(properties?: moesaic.v1.Usage.$Properties): moesaic.v1.Usage;

            /**
             * Encodes the specified Usage message. Does not implicitly {@link moesaic.v1.Usage.verify|verify} messages.
             * @param message Usage message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Usage.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Usage message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Usage & moesaic.v1.Usage.$Shape} Usage
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Usage & moesaic.v1.Usage.$Shape;

            /**
             * Creates a Usage message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Usage
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Usage;

            /**
             * Creates a plain object from a Usage message. Also converts values to other types if specified.
             * @param message Usage
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Usage, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Usage to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Usage
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Usage {

            /** Properties of a Usage. */
            interface $Properties {

                /** Usage prompt_tokens */
                prompt_tokens?: (number|null);

                /** Usage completion_tokens */
                completion_tokens?: (number|null);

                /** Usage cached_tokens */
                cached_tokens?: (number|null);

                /** Usage reasoning_tokens */
                reasoning_tokens?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Usage. */
            type $Shape = moesaic.v1.Usage.$Properties;
        }

        /**
         * Properties of a Timings.
         * @deprecated Use moesaic.v1.Timings.$Properties instead.
         */
        interface ITimings extends moesaic.v1.Timings.$Properties {
        }

        /** Represents a Timings. */
        class Timings {

            /**
             * Constructs a new Timings.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Timings.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Timings queue_ms. */
            queue_ms: number;

            /** Timings time_to_first_token_ms. */
            time_to_first_token_ms: number;

            /** Timings decode_ms. */
            decode_ms: number;

            /** Timings total_ms. */
            total_ms: number;

            /**
             * Creates a new Timings instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Timings instance
             */
            static create(properties: moesaic.v1.Timings.$Shape): moesaic.v1.Timings & moesaic.v1.Timings.$Shape;
            static create(properties?: moesaic.v1.Timings.$Properties): moesaic.v1.Timings;

            /**
             * Encodes the specified Timings message. Does not implicitly {@link moesaic.v1.Timings.verify|verify} messages.
             * @param message Timings message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Timings.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Timings message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Timings & moesaic.v1.Timings.$Shape} Timings
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Timings & moesaic.v1.Timings.$Shape;

            /**
             * Creates a Timings message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Timings
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Timings;

            /**
             * Creates a plain object from a Timings message. Also converts values to other types if specified.
             * @param message Timings
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Timings, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Timings to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Timings
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Timings {

            /** Properties of a Timings. */
            interface $Properties {

                /** Timings queue_ms */
                queue_ms?: (number|null);

                /** Timings time_to_first_token_ms */
                time_to_first_token_ms?: (number|null);

                /** Timings decode_ms */
                decode_ms?: (number|null);

                /** Timings total_ms */
                total_ms?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Timings. */
            type $Shape = moesaic.v1.Timings.$Properties;
        }

        /**
         * Properties of an ErrorDetail.
         * @deprecated Use moesaic.v1.ErrorDetail.$Properties instead.
         */
        interface IErrorDetail extends moesaic.v1.ErrorDetail.$Properties {
        }

        /** Represents an ErrorDetail. */
        class ErrorDetail {

            /**
             * Constructs a new ErrorDetail.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.ErrorDetail.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** ErrorDetail code. */
            code: string;

            /** ErrorDetail message. */
            message: string;

            /** ErrorDetail place. */
            place: string;

            /**
             * Creates a new ErrorDetail instance using the specified properties.
             * @param [properties] Properties to set
             * @returns ErrorDetail instance
             */
            static create(properties: moesaic.v1.ErrorDetail.$Shape): moesaic.v1.ErrorDetail & moesaic.v1.ErrorDetail.$Shape;
            static create(properties?: moesaic.v1.ErrorDetail.$Properties): moesaic.v1.ErrorDetail;

            /**
             * Encodes the specified ErrorDetail message. Does not implicitly {@link moesaic.v1.ErrorDetail.verify|verify} messages.
             * @param message ErrorDetail message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.ErrorDetail.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes an ErrorDetail message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.ErrorDetail & moesaic.v1.ErrorDetail.$Shape} ErrorDetail
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.ErrorDetail & moesaic.v1.ErrorDetail.$Shape;

            /**
             * Creates an ErrorDetail message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns ErrorDetail
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.ErrorDetail;

            /**
             * Creates a plain object from an ErrorDetail message. Also converts values to other types if specified.
             * @param message ErrorDetail
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.ErrorDetail, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this ErrorDetail to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for ErrorDetail
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace ErrorDetail {

            /** Properties of an ErrorDetail. */
            interface $Properties {

                /** ErrorDetail code */
                code?: (string|null);

                /** ErrorDetail message */
                message?: (string|null);

                /** ErrorDetail place */
                place?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of an ErrorDetail. */
            type $Shape = moesaic.v1.ErrorDetail.$Properties;
        }

        /**
         * Properties of a LogitsRequest.
         * @deprecated Use moesaic.v1.LogitsRequest.$Properties instead.
         */
        interface ILogitsRequest extends moesaic.v1.LogitsRequest.$Properties {
        }

        /** Represents a LogitsRequest. */
        class LogitsRequest {

            /**
             * Constructs a new LogitsRequest.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.LogitsRequest.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** LogitsRequest model. */
            model: string;

            /** LogitsRequest token_ids. */
            token_ids: number[];

            /**
             * Creates a new LogitsRequest instance using the specified properties.
             * @param [properties] Properties to set
             * @returns LogitsRequest instance
             */
            static create(properties: moesaic.v1.LogitsRequest.$Shape): moesaic.v1.LogitsRequest & moesaic.v1.LogitsRequest.$Shape;
            static create(properties?: moesaic.v1.LogitsRequest.$Properties): moesaic.v1.LogitsRequest;

            /**
             * Encodes the specified LogitsRequest message. Does not implicitly {@link moesaic.v1.LogitsRequest.verify|verify} messages.
             * @param message LogitsRequest message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.LogitsRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a LogitsRequest message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.LogitsRequest & moesaic.v1.LogitsRequest.$Shape} LogitsRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.LogitsRequest & moesaic.v1.LogitsRequest.$Shape;

            /**
             * Creates a LogitsRequest message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns LogitsRequest
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.LogitsRequest;

            /**
             * Creates a plain object from a LogitsRequest message. Also converts values to other types if specified.
             * @param message LogitsRequest
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.LogitsRequest, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this LogitsRequest to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for LogitsRequest
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace LogitsRequest {

            /** Properties of a LogitsRequest. */
            interface $Properties {

                /** LogitsRequest model */
                model?: (string|null);

                /** LogitsRequest token_ids */
                token_ids?: (number[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a LogitsRequest. */
            type $Shape = moesaic.v1.LogitsRequest.$Properties;
        }

        /**
         * Properties of a LogitsEvent.
         * @deprecated Use moesaic.v1.LogitsEvent.$Properties instead.
         */
        interface ILogitsEvent extends moesaic.v1.LogitsEvent.$Properties {
        }

        /** Represents a LogitsEvent. */
        class LogitsEvent {

            /**
             * Constructs a new LogitsEvent.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.LogitsEvent.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** LogitsEvent first_position. */
            first_position: number;

            /** LogitsEvent num_positions. */
            num_positions: number;

            /** LogitsEvent vocab_size. */
            vocab_size: number;

            /** LogitsEvent logits. */
            logits: Uint8Array;

            /**
             * Creates a new LogitsEvent instance using the specified properties.
             * @param [properties] Properties to set
             * @returns LogitsEvent instance
             */
            static create(properties: moesaic.v1.LogitsEvent.$Shape): moesaic.v1.LogitsEvent & moesaic.v1.LogitsEvent.$Shape;
            static create(properties?: moesaic.v1.LogitsEvent.$Properties): moesaic.v1.LogitsEvent;

            /**
             * Encodes the specified LogitsEvent message. Does not implicitly {@link moesaic.v1.LogitsEvent.verify|verify} messages.
             * @param message LogitsEvent message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.LogitsEvent.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a LogitsEvent message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.LogitsEvent & moesaic.v1.LogitsEvent.$Shape} LogitsEvent
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.LogitsEvent & moesaic.v1.LogitsEvent.$Shape;

            /**
             * Creates a LogitsEvent message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns LogitsEvent
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.LogitsEvent;

            /**
             * Creates a plain object from a LogitsEvent message. Also converts values to other types if specified.
             * @param message LogitsEvent
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.LogitsEvent, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this LogitsEvent to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for LogitsEvent
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace LogitsEvent {

            /** Properties of a LogitsEvent. */
            interface $Properties {

                /** LogitsEvent first_position */
                first_position?: (number|null);

                /** LogitsEvent num_positions */
                num_positions?: (number|null);

                /** LogitsEvent vocab_size */
                vocab_size?: (number|null);

                /** LogitsEvent logits */
                logits?: (Uint8Array|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a LogitsEvent. */
            type $Shape = moesaic.v1.LogitsEvent.$Properties;
        }

        /**
         * Properties of a TokenizeRequest.
         * @deprecated Use moesaic.v1.TokenizeRequest.$Properties instead.
         */
        interface ITokenizeRequest extends moesaic.v1.TokenizeRequest.$Properties {
        }

        /** Represents a TokenizeRequest. */
        class TokenizeRequest {

            /**
             * Constructs a new TokenizeRequest.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.TokenizeRequest.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** TokenizeRequest model. */
            model: string;

            /** TokenizeRequest text. */
            text?: (string|null);

            /** TokenizeRequest chat. */
            chat?: (moesaic.v1.ChatInput.$Properties|null);

            /** TokenizeRequest input. */
            input?: ("text"|"chat");

            /**
             * Creates a new TokenizeRequest instance using the specified properties.
             * @param [properties] Properties to set
             * @returns TokenizeRequest instance
             */
            static create(properties: moesaic.v1.TokenizeRequest.$Shape): moesaic.v1.TokenizeRequest & moesaic.v1.TokenizeRequest.$Shape;
            static create(properties?: moesaic.v1.TokenizeRequest.$Properties): moesaic.v1.TokenizeRequest;

            /**
             * Encodes the specified TokenizeRequest message. Does not implicitly {@link moesaic.v1.TokenizeRequest.verify|verify} messages.
             * @param message TokenizeRequest message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.TokenizeRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a TokenizeRequest message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.TokenizeRequest & moesaic.v1.TokenizeRequest.$Shape} TokenizeRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.TokenizeRequest & moesaic.v1.TokenizeRequest.$Shape;

            /**
             * Creates a TokenizeRequest message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns TokenizeRequest
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.TokenizeRequest;

            /**
             * Creates a plain object from a TokenizeRequest message. Also converts values to other types if specified.
             * @param message TokenizeRequest
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.TokenizeRequest, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this TokenizeRequest to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for TokenizeRequest
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace TokenizeRequest {

            /** Properties of a TokenizeRequest. */
            interface $Properties {

                /** TokenizeRequest model */
                model?: (string|null);

                /** TokenizeRequest text */
                text?: (string|null);

                /** TokenizeRequest chat */
                chat?: (moesaic.v1.ChatInput.$Properties|null);

                /** TokenizeRequest input */
                input?: ("text"|"chat");

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Narrowed shape of a TokenizeRequest. */
            type $Shape = {
              model?: string|null;
              text?: string|null;
              chat?: moesaic.v1.ChatInput.$Shape|null;
              $unknowns?: Uint8Array[];
            } & (
              ({ input?: undefined; text?: null; chat?: null }|{ input?: "text"; text: string; chat?: null }|{ input?: "chat"; text?: null; chat: moesaic.v1.ChatInput.$Shape })
            );
        }

        /**
         * Properties of a TokenizeResponse.
         * @deprecated Use moesaic.v1.TokenizeResponse.$Properties instead.
         */
        interface ITokenizeResponse extends moesaic.v1.TokenizeResponse.$Properties {
        }

        /** Represents a TokenizeResponse. */
        class TokenizeResponse {

            /**
             * Constructs a new TokenizeResponse.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.TokenizeResponse.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** TokenizeResponse token_ids. */
            token_ids: number[];

            /**
             * Creates a new TokenizeResponse instance using the specified properties.
             * @param [properties] Properties to set
             * @returns TokenizeResponse instance
             */
            static create(properties: moesaic.v1.TokenizeResponse.$Shape): moesaic.v1.TokenizeResponse & moesaic.v1.TokenizeResponse.$Shape;
            static create(properties?: moesaic.v1.TokenizeResponse.$Properties): moesaic.v1.TokenizeResponse;

            /**
             * Encodes the specified TokenizeResponse message. Does not implicitly {@link moesaic.v1.TokenizeResponse.verify|verify} messages.
             * @param message TokenizeResponse message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.TokenizeResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a TokenizeResponse message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.TokenizeResponse & moesaic.v1.TokenizeResponse.$Shape} TokenizeResponse
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.TokenizeResponse & moesaic.v1.TokenizeResponse.$Shape;

            /**
             * Creates a TokenizeResponse message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns TokenizeResponse
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.TokenizeResponse;

            /**
             * Creates a plain object from a TokenizeResponse message. Also converts values to other types if specified.
             * @param message TokenizeResponse
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.TokenizeResponse, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this TokenizeResponse to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for TokenizeResponse
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace TokenizeResponse {

            /** Properties of a TokenizeResponse. */
            interface $Properties {

                /** TokenizeResponse token_ids */
                token_ids?: (number[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a TokenizeResponse. */
            type $Shape = moesaic.v1.TokenizeResponse.$Properties;
        }

        /**
         * Properties of a DetokenizeRequest.
         * @deprecated Use moesaic.v1.DetokenizeRequest.$Properties instead.
         */
        interface IDetokenizeRequest extends moesaic.v1.DetokenizeRequest.$Properties {
        }

        /** Represents a DetokenizeRequest. */
        class DetokenizeRequest {

            /**
             * Constructs a new DetokenizeRequest.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.DetokenizeRequest.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** DetokenizeRequest model. */
            model: string;

            /** DetokenizeRequest token_ids. */
            token_ids: number[];

            /** DetokenizeRequest skip_special_tokens. */
            skip_special_tokens: boolean;

            /**
             * Creates a new DetokenizeRequest instance using the specified properties.
             * @param [properties] Properties to set
             * @returns DetokenizeRequest instance
             */
            static create(properties: moesaic.v1.DetokenizeRequest.$Shape): moesaic.v1.DetokenizeRequest & moesaic.v1.DetokenizeRequest.$Shape;
            static create(properties?: moesaic.v1.DetokenizeRequest.$Properties): moesaic.v1.DetokenizeRequest;

            /**
             * Encodes the specified DetokenizeRequest message. Does not implicitly {@link moesaic.v1.DetokenizeRequest.verify|verify} messages.
             * @param message DetokenizeRequest message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.DetokenizeRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a DetokenizeRequest message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.DetokenizeRequest & moesaic.v1.DetokenizeRequest.$Shape} DetokenizeRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.DetokenizeRequest & moesaic.v1.DetokenizeRequest.$Shape;

            /**
             * Creates a DetokenizeRequest message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns DetokenizeRequest
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.DetokenizeRequest;

            /**
             * Creates a plain object from a DetokenizeRequest message. Also converts values to other types if specified.
             * @param message DetokenizeRequest
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.DetokenizeRequest, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this DetokenizeRequest to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for DetokenizeRequest
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace DetokenizeRequest {

            /** Properties of a DetokenizeRequest. */
            interface $Properties {

                /** DetokenizeRequest model */
                model?: (string|null);

                /** DetokenizeRequest token_ids */
                token_ids?: (number[]|null);

                /** DetokenizeRequest skip_special_tokens */
                skip_special_tokens?: (boolean|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a DetokenizeRequest. */
            type $Shape = moesaic.v1.DetokenizeRequest.$Properties;
        }

        /**
         * Properties of a DetokenizeResponse.
         * @deprecated Use moesaic.v1.DetokenizeResponse.$Properties instead.
         */
        interface IDetokenizeResponse extends moesaic.v1.DetokenizeResponse.$Properties {
        }

        /** Represents a DetokenizeResponse. */
        class DetokenizeResponse {

            /**
             * Constructs a new DetokenizeResponse.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.DetokenizeResponse.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** DetokenizeResponse text. */
            text: string;

            /**
             * Creates a new DetokenizeResponse instance using the specified properties.
             * @param [properties] Properties to set
             * @returns DetokenizeResponse instance
             */
            static create(properties: moesaic.v1.DetokenizeResponse.$Shape): moesaic.v1.DetokenizeResponse & moesaic.v1.DetokenizeResponse.$Shape;
            static create(properties?: moesaic.v1.DetokenizeResponse.$Properties): moesaic.v1.DetokenizeResponse;

            /**
             * Encodes the specified DetokenizeResponse message. Does not implicitly {@link moesaic.v1.DetokenizeResponse.verify|verify} messages.
             * @param message DetokenizeResponse message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.DetokenizeResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a DetokenizeResponse message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.DetokenizeResponse & moesaic.v1.DetokenizeResponse.$Shape} DetokenizeResponse
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.DetokenizeResponse & moesaic.v1.DetokenizeResponse.$Shape;

            /**
             * Creates a DetokenizeResponse message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns DetokenizeResponse
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.DetokenizeResponse;

            /**
             * Creates a plain object from a DetokenizeResponse message. Also converts values to other types if specified.
             * @param message DetokenizeResponse
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.DetokenizeResponse, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this DetokenizeResponse to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for DetokenizeResponse
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace DetokenizeResponse {

            /** Properties of a DetokenizeResponse. */
            interface $Properties {

                /** DetokenizeResponse text */
                text?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a DetokenizeResponse. */
            type $Shape = moesaic.v1.DetokenizeResponse.$Properties;
        }

        /**
         * Properties of a ListModelsRequest.
         * @deprecated Use moesaic.v1.ListModelsRequest.$Properties instead.
         */
        interface IListModelsRequest extends moesaic.v1.ListModelsRequest.$Properties {
        }

        /** Represents a ListModelsRequest. */
        class ListModelsRequest {

            /**
             * Constructs a new ListModelsRequest.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.ListModelsRequest.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /**
             * Creates a new ListModelsRequest instance using the specified properties.
             * @param [properties] Properties to set
             * @returns ListModelsRequest instance
             */
            static create(properties: moesaic.v1.ListModelsRequest.$Shape): moesaic.v1.ListModelsRequest & moesaic.v1.ListModelsRequest.$Shape;
            static create(properties?: moesaic.v1.ListModelsRequest.$Properties): moesaic.v1.ListModelsRequest;

            /**
             * Encodes the specified ListModelsRequest message. Does not implicitly {@link moesaic.v1.ListModelsRequest.verify|verify} messages.
             * @param message ListModelsRequest message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.ListModelsRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a ListModelsRequest message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.ListModelsRequest & moesaic.v1.ListModelsRequest.$Shape} ListModelsRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.ListModelsRequest & moesaic.v1.ListModelsRequest.$Shape;

            /**
             * Creates a ListModelsRequest message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns ListModelsRequest
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.ListModelsRequest;

            /**
             * Creates a plain object from a ListModelsRequest message. Also converts values to other types if specified.
             * @param message ListModelsRequest
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.ListModelsRequest, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this ListModelsRequest to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for ListModelsRequest
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace ListModelsRequest {

            /** Properties of a ListModelsRequest. */
            interface $Properties {

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a ListModelsRequest. */
            type $Shape = moesaic.v1.ListModelsRequest.$Properties;
        }

        /**
         * Properties of a ListModelsResponse.
         * @deprecated Use moesaic.v1.ListModelsResponse.$Properties instead.
         */
        interface IListModelsResponse extends moesaic.v1.ListModelsResponse.$Properties {
        }

        /** Represents a ListModelsResponse. */
        class ListModelsResponse {

            /**
             * Constructs a new ListModelsResponse.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.ListModelsResponse.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** ListModelsResponse models. */
            models: moesaic.v1.Model.$Properties[];

            /**
             * Creates a new ListModelsResponse instance using the specified properties.
             * @param [properties] Properties to set
             * @returns ListModelsResponse instance
             */
            static create(properties: moesaic.v1.ListModelsResponse.$Shape): moesaic.v1.ListModelsResponse & moesaic.v1.ListModelsResponse.$Shape;
            static create(properties?: moesaic.v1.ListModelsResponse.$Properties): moesaic.v1.ListModelsResponse;

            /**
             * Encodes the specified ListModelsResponse message. Does not implicitly {@link moesaic.v1.ListModelsResponse.verify|verify} messages.
             * @param message ListModelsResponse message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.ListModelsResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a ListModelsResponse message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.ListModelsResponse & moesaic.v1.ListModelsResponse.$Shape} ListModelsResponse
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.ListModelsResponse & moesaic.v1.ListModelsResponse.$Shape;

            /**
             * Creates a ListModelsResponse message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns ListModelsResponse
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.ListModelsResponse;

            /**
             * Creates a plain object from a ListModelsResponse message. Also converts values to other types if specified.
             * @param message ListModelsResponse
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.ListModelsResponse, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this ListModelsResponse to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for ListModelsResponse
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace ListModelsResponse {

            /** Properties of a ListModelsResponse. */
            interface $Properties {

                /** ListModelsResponse models */
                models?: (moesaic.v1.Model.$Properties[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a ListModelsResponse. */
            type $Shape = moesaic.v1.ListModelsResponse.$Properties;
        }

        /**
         * Properties of a Model.
         * @deprecated Use moesaic.v1.Model.$Properties instead.
         */
        interface IModel extends moesaic.v1.Model.$Properties {
        }

        /** Represents a Model. */
        class Model {

            /**
             * Constructs a new Model.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Model.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Model name. */
            name: string;

            /** Model max_model_len. */
            max_model_len: number;

            /** Model vocab_size. */
            vocab_size: number;

            /** Model chat. */
            chat: boolean;

            /**
             * Creates a new Model instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Model instance
             */
            static create(properties: moesaic.v1.Model.$Shape): moesaic.v1.Model & moesaic.v1.Model.$Shape;
            static create(properties?: moesaic.v1.Model.$Properties): moesaic.v1.Model;

            /**
             * Encodes the specified Model message. Does not implicitly {@link moesaic.v1.Model.verify|verify} messages.
             * @param message Model message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Model.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Model message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Model & moesaic.v1.Model.$Shape} Model
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Model & moesaic.v1.Model.$Shape;

            /**
             * Creates a Model message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Model
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Model;

            /**
             * Creates a plain object from a Model message. Also converts values to other types if specified.
             * @param message Model
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Model, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Model to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Model
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Model {

            /** Properties of a Model. */
            interface $Properties {

                /** Model name */
                name?: (string|null);

                /** Model max_model_len */
                max_model_len?: (number|null);

                /** Model vocab_size */
                vocab_size?: (number|null);

                /** Model chat */
                chat?: (boolean|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Model. */
            type $Shape = moesaic.v1.Model.$Properties;
        }

        /** Represents a Jobs */
        class Jobs extends $protobuf.rpc.Service {

            /**
             * Constructs a new Jobs service.
             * @param rpcImpl RPC implementation
             * @param [requestDelimited=false] Whether requests are length-delimited
             * @param [responseDelimited=false] Whether responses are length-delimited
             */
            constructor(rpcImpl: $protobuf.RPCImpl, requestDelimited?: boolean, responseDelimited?: boolean);

            /**
             * Creates new Jobs service using the specified rpc implementation.
             * @param rpcImpl RPC implementation
             * @param [requestDelimited=false] Whether requests are length-delimited
             * @param [responseDelimited=false] Whether responses are length-delimited
             * @returns RPC service. Useful where requests and/or responses are streamed.
             */
            static create(rpcImpl: $protobuf.RPCImpl, requestDelimited?: boolean, responseDelimited?: boolean): Jobs;

            /** Calls Submit. */
            submit: moesaic.v1.Jobs.Submit;

            /** Calls Get. */
            get: moesaic.v1.Jobs.Get;

            /** Calls List. */
            list: moesaic.v1.Jobs.List;

            /** Calls Watch. */
            watch: moesaic.v1.Jobs.Watch;

            /** Calls Cancel. */
            cancel: moesaic.v1.Jobs.Cancel;

            /** Calls Delete. */
            delete: moesaic.v1.Jobs.Delete;
        }

        namespace Jobs {

            /**
             * Callback as used by {@link moesaic.v1.Jobs#submit}.
             * @param error Error, if any
             * @param [response] Job
             */
            type SubmitCallback = (error: (Error|null), response?: moesaic.v1.Job) => void;

            /** Calls Submit. */
            type Submit = {
              (request: moesaic.v1.ISubmitJobRequest, callback: moesaic.v1.Jobs.SubmitCallback): void;
              (request: moesaic.v1.ISubmitJobRequest): Promise<moesaic.v1.Job>;
              readonly name: "Submit";
              readonly path: "/moesaic.v1.Jobs/Submit";
              readonly requestType: "SubmitJobRequest";
              readonly responseType: "Job";
              readonly requestStream: undefined;
              readonly responseStream: undefined;
            };

            /**
             * Callback as used by {@link moesaic.v1.Jobs#get}.
             * @param error Error, if any
             * @param [response] Job
             */
            type GetCallback = (error: (Error|null), response?: moesaic.v1.Job) => void;

            /** Calls Get. */
            type Get = {
              (request: moesaic.v1.IGetJobRequest, callback: moesaic.v1.Jobs.GetCallback): void;
              (request: moesaic.v1.IGetJobRequest): Promise<moesaic.v1.Job>;
              readonly name: "Get";
              readonly path: "/moesaic.v1.Jobs/Get";
              readonly requestType: "GetJobRequest";
              readonly responseType: "Job";
              readonly requestStream: undefined;
              readonly responseStream: undefined;
            };

            /**
             * Callback as used by {@link moesaic.v1.Jobs#list}.
             * @param error Error, if any
             * @param [response] ListJobsResponse
             */
            type ListCallback = (error: (Error|null), response?: moesaic.v1.ListJobsResponse) => void;

            /** Calls List. */
            type List = {
              (request: moesaic.v1.IListJobsRequest, callback: moesaic.v1.Jobs.ListCallback): void;
              (request: moesaic.v1.IListJobsRequest): Promise<moesaic.v1.ListJobsResponse>;
              readonly name: "List";
              readonly path: "/moesaic.v1.Jobs/List";
              readonly requestType: "ListJobsRequest";
              readonly responseType: "ListJobsResponse";
              readonly requestStream: undefined;
              readonly responseStream: undefined;
            };

            /**
             * Callback as used by {@link moesaic.v1.Jobs#watch}.
             * @param error Error, if any
             * @param [response] JobEvent
             */
            type WatchCallback = (error: (Error|null), response?: moesaic.v1.JobEvent) => void;

            /** Calls Watch. */
            type Watch = {
              (request: moesaic.v1.IWatchJobRequest, callback: moesaic.v1.Jobs.WatchCallback): void;
              (request: moesaic.v1.IWatchJobRequest): Promise<moesaic.v1.JobEvent>;
              readonly name: "Watch";
              readonly path: "/moesaic.v1.Jobs/Watch";
              readonly requestType: "WatchJobRequest";
              readonly responseType: "JobEvent";
              readonly requestStream: undefined;
              readonly responseStream: true;
            };

            /**
             * Callback as used by {@link moesaic.v1.Jobs#cancel}.
             * @param error Error, if any
             * @param [response] Job
             */
            type CancelCallback = (error: (Error|null), response?: moesaic.v1.Job) => void;

            /** Calls Cancel. */
            type Cancel = {
              (request: moesaic.v1.ICancelJobRequest, callback: moesaic.v1.Jobs.CancelCallback): void;
              (request: moesaic.v1.ICancelJobRequest): Promise<moesaic.v1.Job>;
              readonly name: "Cancel";
              readonly path: "/moesaic.v1.Jobs/Cancel";
              readonly requestType: "CancelJobRequest";
              readonly responseType: "Job";
              readonly requestStream: undefined;
              readonly responseStream: undefined;
            };

            /**
             * Callback as used by {@link moesaic.v1.Jobs#delete_}.
             * @param error Error, if any
             * @param [response] DeleteJobResponse
             */
            type DeleteCallback = (error: (Error|null), response?: moesaic.v1.DeleteJobResponse) => void;

            /** Calls Delete. */
            type Delete = {
              (request: moesaic.v1.IDeleteJobRequest, callback: moesaic.v1.Jobs.DeleteCallback): void;
              (request: moesaic.v1.IDeleteJobRequest): Promise<moesaic.v1.DeleteJobResponse>;
              readonly name: "Delete";
              readonly path: "/moesaic.v1.Jobs/Delete";
              readonly requestType: "DeleteJobRequest";
              readonly responseType: "DeleteJobResponse";
              readonly requestStream: undefined;
              readonly responseStream: undefined;
            };
        }

        /**
         * Properties of a SubmitJobRequest.
         * @deprecated Use moesaic.v1.SubmitJobRequest.$Properties instead.
         */
        interface ISubmitJobRequest extends moesaic.v1.SubmitJobRequest.$Properties {
        }

        /** Represents a SubmitJobRequest. */
        class SubmitJobRequest {

            /**
             * Constructs a new SubmitJobRequest.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.SubmitJobRequest.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** SubmitJobRequest job_id. */
            job_id: string;

            /** SubmitJobRequest requests. */
            requests: moesaic.v1.GenerateRequest.$Properties[];

            /** SubmitJobRequest first_index. */
            first_index: number;

            /** SubmitJobRequest has_more. */
            has_more: boolean;

            /**
             * Creates a new SubmitJobRequest instance using the specified properties.
             * @param [properties] Properties to set
             * @returns SubmitJobRequest instance
             */
            static create(properties: moesaic.v1.SubmitJobRequest.$Shape): moesaic.v1.SubmitJobRequest & moesaic.v1.SubmitJobRequest.$Shape;
            static create(properties?: moesaic.v1.SubmitJobRequest.$Properties): moesaic.v1.SubmitJobRequest;

            /**
             * Encodes the specified SubmitJobRequest message. Does not implicitly {@link moesaic.v1.SubmitJobRequest.verify|verify} messages.
             * @param message SubmitJobRequest message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.SubmitJobRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a SubmitJobRequest message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.SubmitJobRequest & moesaic.v1.SubmitJobRequest.$Shape} SubmitJobRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.SubmitJobRequest & moesaic.v1.SubmitJobRequest.$Shape;

            /**
             * Creates a SubmitJobRequest message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns SubmitJobRequest
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.SubmitJobRequest;

            /**
             * Creates a plain object from a SubmitJobRequest message. Also converts values to other types if specified.
             * @param message SubmitJobRequest
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.SubmitJobRequest, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this SubmitJobRequest to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for SubmitJobRequest
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace SubmitJobRequest {

            /** Properties of a SubmitJobRequest. */
            interface $Properties {

                /** SubmitJobRequest job_id */
                job_id?: (string|null);

                /** SubmitJobRequest requests */
                requests?: (moesaic.v1.GenerateRequest.$Properties[]|null);

                /** SubmitJobRequest first_index */
                first_index?: (number|null);

                /** SubmitJobRequest has_more */
                has_more?: (boolean|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a SubmitJobRequest. */
            type $Shape = {
              job_id?: string|null;
              requests?: moesaic.v1.GenerateRequest.$Shape[]|null;
              first_index?: number|null;
              has_more?: boolean|null;
              $unknowns?: Uint8Array[];
            };
        }

        /**
         * Properties of a GetJobRequest.
         * @deprecated Use moesaic.v1.GetJobRequest.$Properties instead.
         */
        interface IGetJobRequest extends moesaic.v1.GetJobRequest.$Properties {
        }

        /** Represents a GetJobRequest. */
        class GetJobRequest {

            /**
             * Constructs a new GetJobRequest.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.GetJobRequest.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** GetJobRequest job_id. */
            job_id: string;

            /**
             * Creates a new GetJobRequest instance using the specified properties.
             * @param [properties] Properties to set
             * @returns GetJobRequest instance
             */
            static create(properties: moesaic.v1.GetJobRequest.$Shape): moesaic.v1.GetJobRequest & moesaic.v1.GetJobRequest.$Shape;
            static create(properties?: moesaic.v1.GetJobRequest.$Properties): moesaic.v1.GetJobRequest;

            /**
             * Encodes the specified GetJobRequest message. Does not implicitly {@link moesaic.v1.GetJobRequest.verify|verify} messages.
             * @param message GetJobRequest message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.GetJobRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a GetJobRequest message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.GetJobRequest & moesaic.v1.GetJobRequest.$Shape} GetJobRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.GetJobRequest & moesaic.v1.GetJobRequest.$Shape;

            /**
             * Creates a GetJobRequest message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns GetJobRequest
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.GetJobRequest;

            /**
             * Creates a plain object from a GetJobRequest message. Also converts values to other types if specified.
             * @param message GetJobRequest
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.GetJobRequest, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this GetJobRequest to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for GetJobRequest
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace GetJobRequest {

            /** Properties of a GetJobRequest. */
            interface $Properties {

                /** GetJobRequest job_id */
                job_id?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a GetJobRequest. */
            type $Shape = moesaic.v1.GetJobRequest.$Properties;
        }

        /**
         * Properties of a ListJobsRequest.
         * @deprecated Use moesaic.v1.ListJobsRequest.$Properties instead.
         */
        interface IListJobsRequest extends moesaic.v1.ListJobsRequest.$Properties {
        }

        /** Represents a ListJobsRequest. */
        class ListJobsRequest {

            /**
             * Constructs a new ListJobsRequest.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.ListJobsRequest.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** ListJobsRequest page_size. */
            page_size: number;

            /** ListJobsRequest page_token. */
            page_token: string;

            /**
             * Creates a new ListJobsRequest instance using the specified properties.
             * @param [properties] Properties to set
             * @returns ListJobsRequest instance
             */
            static create(properties: moesaic.v1.ListJobsRequest.$Shape): moesaic.v1.ListJobsRequest & moesaic.v1.ListJobsRequest.$Shape;
            static create(properties?: moesaic.v1.ListJobsRequest.$Properties): moesaic.v1.ListJobsRequest;

            /**
             * Encodes the specified ListJobsRequest message. Does not implicitly {@link moesaic.v1.ListJobsRequest.verify|verify} messages.
             * @param message ListJobsRequest message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.ListJobsRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a ListJobsRequest message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.ListJobsRequest & moesaic.v1.ListJobsRequest.$Shape} ListJobsRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.ListJobsRequest & moesaic.v1.ListJobsRequest.$Shape;

            /**
             * Creates a ListJobsRequest message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns ListJobsRequest
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.ListJobsRequest;

            /**
             * Creates a plain object from a ListJobsRequest message. Also converts values to other types if specified.
             * @param message ListJobsRequest
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.ListJobsRequest, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this ListJobsRequest to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for ListJobsRequest
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace ListJobsRequest {

            /** Properties of a ListJobsRequest. */
            interface $Properties {

                /** ListJobsRequest page_size */
                page_size?: (number|null);

                /** ListJobsRequest page_token */
                page_token?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a ListJobsRequest. */
            type $Shape = moesaic.v1.ListJobsRequest.$Properties;
        }

        /**
         * Properties of a ListJobsResponse.
         * @deprecated Use moesaic.v1.ListJobsResponse.$Properties instead.
         */
        interface IListJobsResponse extends moesaic.v1.ListJobsResponse.$Properties {
        }

        /** Represents a ListJobsResponse. */
        class ListJobsResponse {

            /**
             * Constructs a new ListJobsResponse.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.ListJobsResponse.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** ListJobsResponse jobs. */
            jobs: moesaic.v1.Job.$Properties[];

            /** ListJobsResponse next_page_token. */
            next_page_token: string;

            /**
             * Creates a new ListJobsResponse instance using the specified properties.
             * @param [properties] Properties to set
             * @returns ListJobsResponse instance
             */
            static create(properties: moesaic.v1.ListJobsResponse.$Shape): moesaic.v1.ListJobsResponse & moesaic.v1.ListJobsResponse.$Shape;
            static create(properties?: moesaic.v1.ListJobsResponse.$Properties): moesaic.v1.ListJobsResponse;

            /**
             * Encodes the specified ListJobsResponse message. Does not implicitly {@link moesaic.v1.ListJobsResponse.verify|verify} messages.
             * @param message ListJobsResponse message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.ListJobsResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a ListJobsResponse message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.ListJobsResponse & moesaic.v1.ListJobsResponse.$Shape} ListJobsResponse
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.ListJobsResponse & moesaic.v1.ListJobsResponse.$Shape;

            /**
             * Creates a ListJobsResponse message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns ListJobsResponse
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.ListJobsResponse;

            /**
             * Creates a plain object from a ListJobsResponse message. Also converts values to other types if specified.
             * @param message ListJobsResponse
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.ListJobsResponse, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this ListJobsResponse to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for ListJobsResponse
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace ListJobsResponse {

            /** Properties of a ListJobsResponse. */
            interface $Properties {

                /** ListJobsResponse jobs */
                jobs?: (moesaic.v1.Job.$Properties[]|null);

                /** ListJobsResponse next_page_token */
                next_page_token?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a ListJobsResponse. */
            type $Shape = moesaic.v1.ListJobsResponse.$Properties;
        }

        /**
         * Properties of a WatchJobRequest.
         * @deprecated Use moesaic.v1.WatchJobRequest.$Properties instead.
         */
        interface IWatchJobRequest extends moesaic.v1.WatchJobRequest.$Properties {
        }

        /** Represents a WatchJobRequest. */
        class WatchJobRequest {

            /**
             * Constructs a new WatchJobRequest.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.WatchJobRequest.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** WatchJobRequest job_id. */
            job_id: string;

            /** WatchJobRequest first_index. */
            first_index: number;

            /**
             * Creates a new WatchJobRequest instance using the specified properties.
             * @param [properties] Properties to set
             * @returns WatchJobRequest instance
             */
            static create(properties: moesaic.v1.WatchJobRequest.$Shape): moesaic.v1.WatchJobRequest & moesaic.v1.WatchJobRequest.$Shape;
            static create(properties?: moesaic.v1.WatchJobRequest.$Properties): moesaic.v1.WatchJobRequest;

            /**
             * Encodes the specified WatchJobRequest message. Does not implicitly {@link moesaic.v1.WatchJobRequest.verify|verify} messages.
             * @param message WatchJobRequest message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.WatchJobRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a WatchJobRequest message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.WatchJobRequest & moesaic.v1.WatchJobRequest.$Shape} WatchJobRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.WatchJobRequest & moesaic.v1.WatchJobRequest.$Shape;

            /**
             * Creates a WatchJobRequest message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns WatchJobRequest
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.WatchJobRequest;

            /**
             * Creates a plain object from a WatchJobRequest message. Also converts values to other types if specified.
             * @param message WatchJobRequest
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.WatchJobRequest, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this WatchJobRequest to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for WatchJobRequest
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace WatchJobRequest {

            /** Properties of a WatchJobRequest. */
            interface $Properties {

                /** WatchJobRequest job_id */
                job_id?: (string|null);

                /** WatchJobRequest first_index */
                first_index?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a WatchJobRequest. */
            type $Shape = moesaic.v1.WatchJobRequest.$Properties;
        }

        /**
         * Properties of a CancelJobRequest.
         * @deprecated Use moesaic.v1.CancelJobRequest.$Properties instead.
         */
        interface ICancelJobRequest extends moesaic.v1.CancelJobRequest.$Properties {
        }

        /** Represents a CancelJobRequest. */
        class CancelJobRequest {

            /**
             * Constructs a new CancelJobRequest.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.CancelJobRequest.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** CancelJobRequest job_id. */
            job_id: string;

            /**
             * Creates a new CancelJobRequest instance using the specified properties.
             * @param [properties] Properties to set
             * @returns CancelJobRequest instance
             */
            static create(properties: moesaic.v1.CancelJobRequest.$Shape): moesaic.v1.CancelJobRequest & moesaic.v1.CancelJobRequest.$Shape;
            static create(properties?: moesaic.v1.CancelJobRequest.$Properties): moesaic.v1.CancelJobRequest;

            /**
             * Encodes the specified CancelJobRequest message. Does not implicitly {@link moesaic.v1.CancelJobRequest.verify|verify} messages.
             * @param message CancelJobRequest message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.CancelJobRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a CancelJobRequest message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.CancelJobRequest & moesaic.v1.CancelJobRequest.$Shape} CancelJobRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.CancelJobRequest & moesaic.v1.CancelJobRequest.$Shape;

            /**
             * Creates a CancelJobRequest message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns CancelJobRequest
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.CancelJobRequest;

            /**
             * Creates a plain object from a CancelJobRequest message. Also converts values to other types if specified.
             * @param message CancelJobRequest
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.CancelJobRequest, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this CancelJobRequest to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for CancelJobRequest
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace CancelJobRequest {

            /** Properties of a CancelJobRequest. */
            interface $Properties {

                /** CancelJobRequest job_id */
                job_id?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a CancelJobRequest. */
            type $Shape = moesaic.v1.CancelJobRequest.$Properties;
        }

        /**
         * Properties of a DeleteJobRequest.
         * @deprecated Use moesaic.v1.DeleteJobRequest.$Properties instead.
         */
        interface IDeleteJobRequest extends moesaic.v1.DeleteJobRequest.$Properties {
        }

        /** Represents a DeleteJobRequest. */
        class DeleteJobRequest {

            /**
             * Constructs a new DeleteJobRequest.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.DeleteJobRequest.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** DeleteJobRequest job_id. */
            job_id: string;

            /**
             * Creates a new DeleteJobRequest instance using the specified properties.
             * @param [properties] Properties to set
             * @returns DeleteJobRequest instance
             */
            static create(properties: moesaic.v1.DeleteJobRequest.$Shape): moesaic.v1.DeleteJobRequest & moesaic.v1.DeleteJobRequest.$Shape;
            static create(properties?: moesaic.v1.DeleteJobRequest.$Properties): moesaic.v1.DeleteJobRequest;

            /**
             * Encodes the specified DeleteJobRequest message. Does not implicitly {@link moesaic.v1.DeleteJobRequest.verify|verify} messages.
             * @param message DeleteJobRequest message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.DeleteJobRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a DeleteJobRequest message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.DeleteJobRequest & moesaic.v1.DeleteJobRequest.$Shape} DeleteJobRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.DeleteJobRequest & moesaic.v1.DeleteJobRequest.$Shape;

            /**
             * Creates a DeleteJobRequest message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns DeleteJobRequest
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.DeleteJobRequest;

            /**
             * Creates a plain object from a DeleteJobRequest message. Also converts values to other types if specified.
             * @param message DeleteJobRequest
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.DeleteJobRequest, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this DeleteJobRequest to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for DeleteJobRequest
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace DeleteJobRequest {

            /** Properties of a DeleteJobRequest. */
            interface $Properties {

                /** DeleteJobRequest job_id */
                job_id?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a DeleteJobRequest. */
            type $Shape = moesaic.v1.DeleteJobRequest.$Properties;
        }

        /**
         * Properties of a DeleteJobResponse.
         * @deprecated Use moesaic.v1.DeleteJobResponse.$Properties instead.
         */
        interface IDeleteJobResponse extends moesaic.v1.DeleteJobResponse.$Properties {
        }

        /** Represents a DeleteJobResponse. */
        class DeleteJobResponse {

            /**
             * Constructs a new DeleteJobResponse.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.DeleteJobResponse.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /**
             * Creates a new DeleteJobResponse instance using the specified properties.
             * @param [properties] Properties to set
             * @returns DeleteJobResponse instance
             */
            static create(properties: moesaic.v1.DeleteJobResponse.$Shape): moesaic.v1.DeleteJobResponse & moesaic.v1.DeleteJobResponse.$Shape;
            static create(properties?: moesaic.v1.DeleteJobResponse.$Properties): moesaic.v1.DeleteJobResponse;

            /**
             * Encodes the specified DeleteJobResponse message. Does not implicitly {@link moesaic.v1.DeleteJobResponse.verify|verify} messages.
             * @param message DeleteJobResponse message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.DeleteJobResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a DeleteJobResponse message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.DeleteJobResponse & moesaic.v1.DeleteJobResponse.$Shape} DeleteJobResponse
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.DeleteJobResponse & moesaic.v1.DeleteJobResponse.$Shape;

            /**
             * Creates a DeleteJobResponse message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns DeleteJobResponse
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.DeleteJobResponse;

            /**
             * Creates a plain object from a DeleteJobResponse message. Also converts values to other types if specified.
             * @param message DeleteJobResponse
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.DeleteJobResponse, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this DeleteJobResponse to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for DeleteJobResponse
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace DeleteJobResponse {

            /** Properties of a DeleteJobResponse. */
            interface $Properties {

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a DeleteJobResponse. */
            type $Shape = moesaic.v1.DeleteJobResponse.$Properties;
        }

        /**
         * Properties of a Job.
         * @deprecated Use moesaic.v1.Job.$Properties instead.
         */
        interface IJob extends moesaic.v1.Job.$Properties {
        }

        /** Represents a Job. */
        class Job {

            /**
             * Constructs a new Job.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Job.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Job job_id. */
            job_id: string;

            /** Job state. */
            state: string;

            /** Job num_requests. */
            num_requests: number;

            /** Job num_finished. */
            num_finished: number;

            /** Job num_failed. */
            num_failed: number;

            /** Job num_prompt_tokens. */
            num_prompt_tokens: number;

            /** Job num_output_tokens. */
            num_output_tokens: number;

            /** Job created_unix_ms. */
            created_unix_ms: number;

            /** Job accepted_unix_ms. */
            accepted_unix_ms: number;

            /** Job ended_unix_ms. */
            ended_unix_ms: number;

            /** Job reason. */
            reason: string;

            /**
             * Creates a new Job instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Job instance
             */
            static create(properties: moesaic.v1.Job.$Shape): moesaic.v1.Job & moesaic.v1.Job.$Shape;
            static create(properties?: moesaic.v1.Job.$Properties): moesaic.v1.Job;

            /**
             * Encodes the specified Job message. Does not implicitly {@link moesaic.v1.Job.verify|verify} messages.
             * @param message Job message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Job.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Job message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Job & moesaic.v1.Job.$Shape} Job
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Job & moesaic.v1.Job.$Shape;

            /**
             * Creates a Job message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Job
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Job;

            /**
             * Creates a plain object from a Job message. Also converts values to other types if specified.
             * @param message Job
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Job, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Job to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Job
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Job {

            /** Properties of a Job. */
            interface $Properties {

                /** Job job_id */
                job_id?: (string|null);

                /** Job state */
                state?: (string|null);

                /** Job num_requests */
                num_requests?: (number|null);

                /** Job num_finished */
                num_finished?: (number|null);

                /** Job num_failed */
                num_failed?: (number|null);

                /** Job num_prompt_tokens */
                num_prompt_tokens?: (number|null);

                /** Job num_output_tokens */
                num_output_tokens?: (number|null);

                /** Job created_unix_ms */
                created_unix_ms?: (number|null);

                /** Job accepted_unix_ms */
                accepted_unix_ms?: (number|null);

                /** Job ended_unix_ms */
                ended_unix_ms?: (number|null);

                /** Job reason */
                reason?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Job. */
            type $Shape = moesaic.v1.Job.$Properties;
        }

        /**
         * Properties of a JobEvent.
         * @deprecated Use moesaic.v1.JobEvent.$Properties instead.
         */
        interface IJobEvent extends moesaic.v1.JobEvent.$Properties {
        }

        /** Represents a JobEvent. */
        class JobEvent {

            /**
             * Constructs a new JobEvent.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.JobEvent.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** JobEvent index. */
            index: number;

            /** JobEvent event. */
            event?: (moesaic.v1.GenerateEvent.$Properties|null);

            /** JobEvent is_last. */
            is_last: boolean;

            /** JobEvent job. */
            job?: (moesaic.v1.Job.$Properties|null);

            /**
             * Creates a new JobEvent instance using the specified properties.
             * @param [properties] Properties to set
             * @returns JobEvent instance
             */
            static create(properties: moesaic.v1.JobEvent.$Shape): moesaic.v1.JobEvent & moesaic.v1.JobEvent.$Shape;
            static create(properties?: moesaic.v1.JobEvent.$Properties): moesaic.v1.JobEvent;

            /**
             * Encodes the specified JobEvent message. Does not implicitly {@link moesaic.v1.JobEvent.verify|verify} messages.
             * @param message JobEvent message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.JobEvent.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a JobEvent message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.JobEvent & moesaic.v1.JobEvent.$Shape} JobEvent
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.JobEvent & moesaic.v1.JobEvent.$Shape;

            /**
             * Creates a JobEvent message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns JobEvent
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.JobEvent;

            /**
             * Creates a plain object from a JobEvent message. Also converts values to other types if specified.
             * @param message JobEvent
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.JobEvent, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this JobEvent to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for JobEvent
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace JobEvent {

            /** Properties of a JobEvent. */
            interface $Properties {

                /** JobEvent index */
                index?: (number|null);

                /** JobEvent event */
                event?: (moesaic.v1.GenerateEvent.$Properties|null);

                /** JobEvent is_last */
                is_last?: (boolean|null);

                /** JobEvent job */
                job?: (moesaic.v1.Job.$Properties|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a JobEvent. */
            type $Shape = {
              index?: number|null;
              event?: moesaic.v1.GenerateEvent.$Shape|null;
              is_last?: boolean|null;
              job?: moesaic.v1.Job.$Shape|null;
              $unknowns?: Uint8Array[];
            };
        }

        /**
         * Properties of a JobRecord.
         * @deprecated Use moesaic.v1.JobRecord.$Properties instead.
         */
        interface IJobRecord extends moesaic.v1.JobRecord.$Properties {
        }

        /** Represents a JobRecord. */
        class JobRecord {

            /**
             * Constructs a new JobRecord.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.JobRecord.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** JobRecord unix_ms. */
            unix_ms: number;

            /** JobRecord requests. */
            requests?: (moesaic.v1.RequestsRecord.$Properties|null);

            /** JobRecord result. */
            result?: (moesaic.v1.ResultRecord.$Properties|null);

            /** JobRecord cancelled. */
            cancelled?: (moesaic.v1.CancelledRecord.$Properties|null);

            /** JobRecord part. */
            part?: (moesaic.v1.PartRecord.$Properties|null);

            /** JobRecord object. */
            object?: (moesaic.v1.ObjectRecord.$Properties|null);

            /** JobRecord kind. */
            kind?: ("requests"|"result"|"cancelled"|"part"|"object");

            /**
             * Creates a new JobRecord instance using the specified properties.
             * @param [properties] Properties to set
             * @returns JobRecord instance
             */
            static create(properties: moesaic.v1.JobRecord.$Shape): moesaic.v1.JobRecord & moesaic.v1.JobRecord.$Shape;
            static create(properties?: moesaic.v1.JobRecord.$Properties): moesaic.v1.JobRecord;

            /**
             * Encodes the specified JobRecord message. Does not implicitly {@link moesaic.v1.JobRecord.verify|verify} messages.
             * @param message JobRecord message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.JobRecord.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a JobRecord message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.JobRecord & moesaic.v1.JobRecord.$Shape} JobRecord
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.JobRecord & moesaic.v1.JobRecord.$Shape;

            /**
             * Creates a JobRecord message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns JobRecord
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.JobRecord;

            /**
             * Creates a plain object from a JobRecord message. Also converts values to other types if specified.
             * @param message JobRecord
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.JobRecord, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this JobRecord to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for JobRecord
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace JobRecord {

            /** Properties of a JobRecord. */
            interface $Properties {

                /** JobRecord unix_ms */
                unix_ms?: (number|null);

                /** JobRecord requests */
                requests?: (moesaic.v1.RequestsRecord.$Properties|null);

                /** JobRecord result */
                result?: (moesaic.v1.ResultRecord.$Properties|null);

                /** JobRecord cancelled */
                cancelled?: (moesaic.v1.CancelledRecord.$Properties|null);

                /** JobRecord part */
                part?: (moesaic.v1.PartRecord.$Properties|null);

                /** JobRecord object */
                object?: (moesaic.v1.ObjectRecord.$Properties|null);

                /** JobRecord kind */
                kind?: ("requests"|"result"|"cancelled"|"part"|"object");

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Narrowed shape of a JobRecord. */
            type $Shape = {
              unix_ms?: number|null;
              requests?: moesaic.v1.RequestsRecord.$Shape|null;
              result?: moesaic.v1.ResultRecord.$Shape|null;
              cancelled?: moesaic.v1.CancelledRecord.$Shape|null;
              part?: moesaic.v1.PartRecord.$Shape|null;
              object?: moesaic.v1.ObjectRecord.$Shape|null;
              $unknowns?: Uint8Array[];
            } & (
              ({ kind?: undefined; requests?: null; result?: null; cancelled?: null; part?: null; object?: null }|{ kind?: "requests"; requests: moesaic.v1.RequestsRecord.$Shape; result?: null; cancelled?: null; part?: null; object?: null }|{ kind?: "result"; requests?: null; result: moesaic.v1.ResultRecord.$Shape; cancelled?: null; part?: null; object?: null }|{ kind?: "cancelled"; requests?: null; result?: null; cancelled: moesaic.v1.CancelledRecord.$Shape; part?: null; object?: null }|{ kind?: "part"; requests?: null; result?: null; cancelled?: null; part: moesaic.v1.PartRecord.$Shape; object?: null }|{ kind?: "object"; requests?: null; result?: null; cancelled?: null; part?: null; object: moesaic.v1.ObjectRecord.$Shape })
            );
        }

        /**
         * Properties of a RequestsRecord.
         * @deprecated Use moesaic.v1.RequestsRecord.$Properties instead.
         */
        interface IRequestsRecord extends moesaic.v1.RequestsRecord.$Properties {
        }

        /** Represents a RequestsRecord. */
        class RequestsRecord {

            /**
             * Constructs a new RequestsRecord.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.RequestsRecord.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** RequestsRecord first_index. */
            first_index: number;

            /** RequestsRecord num_requests. */
            num_requests: number;

            /** RequestsRecord has_more. */
            has_more: boolean;

            /** RequestsRecord tenant. */
            tenant: string;

            /** RequestsRecord is_urgent. */
            is_urgent: boolean;

            /**
             * Creates a new RequestsRecord instance using the specified properties.
             * @param [properties] Properties to set
             * @returns RequestsRecord instance
             */
            static create(properties: moesaic.v1.RequestsRecord.$Shape): moesaic.v1.RequestsRecord & moesaic.v1.RequestsRecord.$Shape;
            static create(properties?: moesaic.v1.RequestsRecord.$Properties): moesaic.v1.RequestsRecord;

            /**
             * Encodes the specified RequestsRecord message. Does not implicitly {@link moesaic.v1.RequestsRecord.verify|verify} messages.
             * @param message RequestsRecord message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.RequestsRecord.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a RequestsRecord message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.RequestsRecord & moesaic.v1.RequestsRecord.$Shape} RequestsRecord
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.RequestsRecord & moesaic.v1.RequestsRecord.$Shape;

            /**
             * Creates a RequestsRecord message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns RequestsRecord
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.RequestsRecord;

            /**
             * Creates a plain object from a RequestsRecord message. Also converts values to other types if specified.
             * @param message RequestsRecord
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.RequestsRecord, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this RequestsRecord to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for RequestsRecord
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace RequestsRecord {

            /** Properties of a RequestsRecord. */
            interface $Properties {

                /** RequestsRecord first_index */
                first_index?: (number|null);

                /** RequestsRecord num_requests */
                num_requests?: (number|null);

                /** RequestsRecord has_more */
                has_more?: (boolean|null);

                /** RequestsRecord tenant */
                tenant?: (string|null);

                /** RequestsRecord is_urgent */
                is_urgent?: (boolean|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a RequestsRecord. */
            type $Shape = moesaic.v1.RequestsRecord.$Properties;
        }

        /**
         * Properties of a ResultRecord.
         * @deprecated Use moesaic.v1.ResultRecord.$Properties instead.
         */
        interface IResultRecord extends moesaic.v1.ResultRecord.$Properties {
        }

        /** Represents a ResultRecord. */
        class ResultRecord {

            /**
             * Constructs a new ResultRecord.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.ResultRecord.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** ResultRecord index. */
            index: number;

            /** ResultRecord is_failed. */
            is_failed: boolean;

            /** ResultRecord num_prompt_tokens. */
            num_prompt_tokens: number;

            /** ResultRecord num_output_tokens. */
            num_output_tokens: number;

            /**
             * Creates a new ResultRecord instance using the specified properties.
             * @param [properties] Properties to set
             * @returns ResultRecord instance
             */
            static create(properties: moesaic.v1.ResultRecord.$Shape): moesaic.v1.ResultRecord & moesaic.v1.ResultRecord.$Shape;
            static create(properties?: moesaic.v1.ResultRecord.$Properties): moesaic.v1.ResultRecord;

            /**
             * Encodes the specified ResultRecord message. Does not implicitly {@link moesaic.v1.ResultRecord.verify|verify} messages.
             * @param message ResultRecord message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.ResultRecord.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a ResultRecord message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.ResultRecord & moesaic.v1.ResultRecord.$Shape} ResultRecord
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.ResultRecord & moesaic.v1.ResultRecord.$Shape;

            /**
             * Creates a ResultRecord message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns ResultRecord
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.ResultRecord;

            /**
             * Creates a plain object from a ResultRecord message. Also converts values to other types if specified.
             * @param message ResultRecord
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.ResultRecord, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this ResultRecord to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for ResultRecord
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace ResultRecord {

            /** Properties of a ResultRecord. */
            interface $Properties {

                /** ResultRecord index */
                index?: (number|null);

                /** ResultRecord is_failed */
                is_failed?: (boolean|null);

                /** ResultRecord num_prompt_tokens */
                num_prompt_tokens?: (number|null);

                /** ResultRecord num_output_tokens */
                num_output_tokens?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a ResultRecord. */
            type $Shape = moesaic.v1.ResultRecord.$Properties;
        }

        /**
         * Properties of a CancelledRecord.
         * @deprecated Use moesaic.v1.CancelledRecord.$Properties instead.
         */
        interface ICancelledRecord extends moesaic.v1.CancelledRecord.$Properties {
        }

        /** Represents a CancelledRecord. */
        class CancelledRecord {

            /**
             * Constructs a new CancelledRecord.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.CancelledRecord.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /**
             * Creates a new CancelledRecord instance using the specified properties.
             * @param [properties] Properties to set
             * @returns CancelledRecord instance
             */
            static create(properties: moesaic.v1.CancelledRecord.$Shape): moesaic.v1.CancelledRecord & moesaic.v1.CancelledRecord.$Shape;
            static create(properties?: moesaic.v1.CancelledRecord.$Properties): moesaic.v1.CancelledRecord;

            /**
             * Encodes the specified CancelledRecord message. Does not implicitly {@link moesaic.v1.CancelledRecord.verify|verify} messages.
             * @param message CancelledRecord message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.CancelledRecord.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a CancelledRecord message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.CancelledRecord & moesaic.v1.CancelledRecord.$Shape} CancelledRecord
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.CancelledRecord & moesaic.v1.CancelledRecord.$Shape;

            /**
             * Creates a CancelledRecord message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns CancelledRecord
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.CancelledRecord;

            /**
             * Creates a plain object from a CancelledRecord message. Also converts values to other types if specified.
             * @param message CancelledRecord
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.CancelledRecord, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this CancelledRecord to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for CancelledRecord
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace CancelledRecord {

            /** Properties of a CancelledRecord. */
            interface $Properties {

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a CancelledRecord. */
            type $Shape = moesaic.v1.CancelledRecord.$Properties;
        }

        /**
         * Properties of a PartRecord.
         * @deprecated Use moesaic.v1.PartRecord.$Properties instead.
         */
        interface IPartRecord extends moesaic.v1.PartRecord.$Properties {
        }

        /** Represents a PartRecord. */
        class PartRecord {

            /**
             * Constructs a new PartRecord.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.PartRecord.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /**
             * Creates a new PartRecord instance using the specified properties.
             * @param [properties] Properties to set
             * @returns PartRecord instance
             */
            static create(properties: moesaic.v1.PartRecord.$Shape): moesaic.v1.PartRecord & moesaic.v1.PartRecord.$Shape;
            static create(properties?: moesaic.v1.PartRecord.$Properties): moesaic.v1.PartRecord;

            /**
             * Encodes the specified PartRecord message. Does not implicitly {@link moesaic.v1.PartRecord.verify|verify} messages.
             * @param message PartRecord message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.PartRecord.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a PartRecord message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.PartRecord & moesaic.v1.PartRecord.$Shape} PartRecord
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.PartRecord & moesaic.v1.PartRecord.$Shape;

            /**
             * Creates a PartRecord message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns PartRecord
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.PartRecord;

            /**
             * Creates a plain object from a PartRecord message. Also converts values to other types if specified.
             * @param message PartRecord
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.PartRecord, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this PartRecord to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for PartRecord
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace PartRecord {

            /** Properties of a PartRecord. */
            interface $Properties {

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a PartRecord. */
            type $Shape = moesaic.v1.PartRecord.$Properties;
        }

        /**
         * Properties of an ObjectRecord.
         * @deprecated Use moesaic.v1.ObjectRecord.$Properties instead.
         */
        interface IObjectRecord extends moesaic.v1.ObjectRecord.$Properties {
        }

        /** Represents an ObjectRecord. */
        class ObjectRecord {

            /**
             * Constructs a new ObjectRecord.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.ObjectRecord.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /**
             * Creates a new ObjectRecord instance using the specified properties.
             * @param [properties] Properties to set
             * @returns ObjectRecord instance
             */
            static create(properties: moesaic.v1.ObjectRecord.$Shape): moesaic.v1.ObjectRecord & moesaic.v1.ObjectRecord.$Shape;
            static create(properties?: moesaic.v1.ObjectRecord.$Properties): moesaic.v1.ObjectRecord;

            /**
             * Encodes the specified ObjectRecord message. Does not implicitly {@link moesaic.v1.ObjectRecord.verify|verify} messages.
             * @param message ObjectRecord message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.ObjectRecord.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes an ObjectRecord message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.ObjectRecord & moesaic.v1.ObjectRecord.$Shape} ObjectRecord
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.ObjectRecord & moesaic.v1.ObjectRecord.$Shape;

            /**
             * Creates an ObjectRecord message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns ObjectRecord
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.ObjectRecord;

            /**
             * Creates a plain object from an ObjectRecord message. Also converts values to other types if specified.
             * @param message ObjectRecord
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.ObjectRecord, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this ObjectRecord to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for ObjectRecord
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace ObjectRecord {

            /** Properties of an ObjectRecord. */
            interface $Properties {

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of an ObjectRecord. */
            type $Shape = moesaic.v1.ObjectRecord.$Properties;
        }

        /**
         * Properties of a JobRequests.
         * @deprecated Use moesaic.v1.JobRequests.$Properties instead.
         */
        interface IJobRequests extends moesaic.v1.JobRequests.$Properties {
        }

        /** Represents a JobRequests. */
        class JobRequests {

            /**
             * Constructs a new JobRequests.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.JobRequests.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** JobRequests requests. */
            requests: moesaic.v1.GenerateRequest.$Properties[];

            /**
             * Creates a new JobRequests instance using the specified properties.
             * @param [properties] Properties to set
             * @returns JobRequests instance
             */
            static create(properties: moesaic.v1.JobRequests.$Shape): moesaic.v1.JobRequests & moesaic.v1.JobRequests.$Shape;
            static create(properties?: moesaic.v1.JobRequests.$Properties): moesaic.v1.JobRequests;

            /**
             * Encodes the specified JobRequests message. Does not implicitly {@link moesaic.v1.JobRequests.verify|verify} messages.
             * @param message JobRequests message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.JobRequests.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a JobRequests message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.JobRequests & moesaic.v1.JobRequests.$Shape} JobRequests
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.JobRequests & moesaic.v1.JobRequests.$Shape;

            /**
             * Creates a JobRequests message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns JobRequests
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.JobRequests;

            /**
             * Creates a plain object from a JobRequests message. Also converts values to other types if specified.
             * @param message JobRequests
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.JobRequests, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this JobRequests to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for JobRequests
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace JobRequests {

            /** Properties of a JobRequests. */
            interface $Properties {

                /** JobRequests requests */
                requests?: (moesaic.v1.GenerateRequest.$Properties[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a JobRequests. */
            type $Shape = {
              requests?: moesaic.v1.GenerateRequest.$Shape[]|null;
              $unknowns?: Uint8Array[];
            };
        }

        /**
         * Properties of a JobResult.
         * @deprecated Use moesaic.v1.JobResult.$Properties instead.
         */
        interface IJobResult extends moesaic.v1.JobResult.$Properties {
        }

        /** Represents a JobResult. */
        class JobResult {

            /**
             * Constructs a new JobResult.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.JobResult.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** JobResult events. */
            events: moesaic.v1.GenerateEvent.$Properties[];

            /**
             * Creates a new JobResult instance using the specified properties.
             * @param [properties] Properties to set
             * @returns JobResult instance
             */
            static create(properties: moesaic.v1.JobResult.$Shape): moesaic.v1.JobResult & moesaic.v1.JobResult.$Shape;
            static create(properties?: moesaic.v1.JobResult.$Properties): moesaic.v1.JobResult;

            /**
             * Encodes the specified JobResult message. Does not implicitly {@link moesaic.v1.JobResult.verify|verify} messages.
             * @param message JobResult message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.JobResult.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a JobResult message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.JobResult & moesaic.v1.JobResult.$Shape} JobResult
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.JobResult & moesaic.v1.JobResult.$Shape;

            /**
             * Creates a JobResult message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns JobResult
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.JobResult;

            /**
             * Creates a plain object from a JobResult message. Also converts values to other types if specified.
             * @param message JobResult
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.JobResult, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this JobResult to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for JobResult
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace JobResult {

            /** Properties of a JobResult. */
            interface $Properties {

                /** JobResult events */
                events?: (moesaic.v1.GenerateEvent.$Properties[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a JobResult. */
            type $Shape = {
              events?: moesaic.v1.GenerateEvent.$Shape[]|null;
              $unknowns?: Uint8Array[];
            };
        }

        /**
         * Properties of a KeptObject.
         * @deprecated Use moesaic.v1.KeptObject.$Properties instead.
         */
        interface IKeptObject extends moesaic.v1.KeptObject.$Properties {
        }

        /** Represents a KeptObject. */
        class KeptObject {

            /**
             * Constructs a new KeptObject.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.KeptObject.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** KeptObject tenant. */
            tenant: string;

            /** KeptObject created_unix_ms. */
            created_unix_ms: number;

            /** KeptObject expires_unix_ms. */
            expires_unix_ms: number;

            /** KeptObject file. */
            file?: (moesaic.v1.KeptFile.$Properties|null);

            /** KeptObject batch. */
            batch?: (moesaic.v1.KeptBatch.$Properties|null);

            /** KeptObject background. */
            background?: (moesaic.v1.KeptBackground.$Properties|null);

            /** KeptObject kind. */
            kind?: ("file"|"batch"|"background");

            /**
             * Creates a new KeptObject instance using the specified properties.
             * @param [properties] Properties to set
             * @returns KeptObject instance
             */
            static create(properties: moesaic.v1.KeptObject.$Shape): moesaic.v1.KeptObject & moesaic.v1.KeptObject.$Shape;
            static create(properties?: moesaic.v1.KeptObject.$Properties): moesaic.v1.KeptObject;

            /**
             * Encodes the specified KeptObject message. Does not implicitly {@link moesaic.v1.KeptObject.verify|verify} messages.
             * @param message KeptObject message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.KeptObject.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a KeptObject message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.KeptObject & moesaic.v1.KeptObject.$Shape} KeptObject
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.KeptObject & moesaic.v1.KeptObject.$Shape;

            /**
             * Creates a KeptObject message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns KeptObject
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.KeptObject;

            /**
             * Creates a plain object from a KeptObject message. Also converts values to other types if specified.
             * @param message KeptObject
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.KeptObject, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this KeptObject to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for KeptObject
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace KeptObject {

            /** Properties of a KeptObject. */
            interface $Properties {

                /** KeptObject tenant */
                tenant?: (string|null);

                /** KeptObject created_unix_ms */
                created_unix_ms?: (number|null);

                /** KeptObject expires_unix_ms */
                expires_unix_ms?: (number|null);

                /** KeptObject file */
                file?: (moesaic.v1.KeptFile.$Properties|null);

                /** KeptObject batch */
                batch?: (moesaic.v1.KeptBatch.$Properties|null);

                /** KeptObject background */
                background?: (moesaic.v1.KeptBackground.$Properties|null);

                /** KeptObject kind */
                kind?: ("file"|"batch"|"background");

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Narrowed shape of a KeptObject. */
            type $Shape = {
              tenant?: string|null;
              created_unix_ms?: number|null;
              expires_unix_ms?: number|null;
              file?: moesaic.v1.KeptFile.$Shape|null;
              batch?: moesaic.v1.KeptBatch.$Shape|null;
              background?: moesaic.v1.KeptBackground.$Shape|null;
              $unknowns?: Uint8Array[];
            } & (
              ({ kind?: undefined; file?: null; batch?: null; background?: null }|{ kind?: "file"; file: moesaic.v1.KeptFile.$Shape; batch?: null; background?: null }|{ kind?: "batch"; file?: null; batch: moesaic.v1.KeptBatch.$Shape; background?: null }|{ kind?: "background"; file?: null; batch?: null; background: moesaic.v1.KeptBackground.$Shape })
            );
        }

        /**
         * Properties of a KeptFile.
         * @deprecated Use moesaic.v1.KeptFile.$Properties instead.
         */
        interface IKeptFile extends moesaic.v1.KeptFile.$Properties {
        }

        /** Represents a KeptFile. */
        class KeptFile {

            /**
             * Constructs a new KeptFile.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.KeptFile.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** KeptFile filename. */
            filename: string;

            /** KeptFile purpose. */
            purpose: string;

            /** KeptFile num_bytes. */
            num_bytes: number;

            /**
             * Creates a new KeptFile instance using the specified properties.
             * @param [properties] Properties to set
             * @returns KeptFile instance
             */
            static create(properties: moesaic.v1.KeptFile.$Shape): moesaic.v1.KeptFile & moesaic.v1.KeptFile.$Shape;
            static create(properties?: moesaic.v1.KeptFile.$Properties): moesaic.v1.KeptFile;

            /**
             * Encodes the specified KeptFile message. Does not implicitly {@link moesaic.v1.KeptFile.verify|verify} messages.
             * @param message KeptFile message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.KeptFile.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a KeptFile message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.KeptFile & moesaic.v1.KeptFile.$Shape} KeptFile
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.KeptFile & moesaic.v1.KeptFile.$Shape;

            /**
             * Creates a KeptFile message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns KeptFile
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.KeptFile;

            /**
             * Creates a plain object from a KeptFile message. Also converts values to other types if specified.
             * @param message KeptFile
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.KeptFile, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this KeptFile to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for KeptFile
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace KeptFile {

            /** Properties of a KeptFile. */
            interface $Properties {

                /** KeptFile filename */
                filename?: (string|null);

                /** KeptFile purpose */
                purpose?: (string|null);

                /** KeptFile num_bytes */
                num_bytes?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a KeptFile. */
            type $Shape = moesaic.v1.KeptFile.$Properties;
        }

        /**
         * Properties of a KeptBatch.
         * @deprecated Use moesaic.v1.KeptBatch.$Properties instead.
         */
        interface IKeptBatch extends moesaic.v1.KeptBatch.$Properties {
        }

        /** Represents a KeptBatch. */
        class KeptBatch {

            /**
             * Constructs a new KeptBatch.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.KeptBatch.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** KeptBatch input_file_id. */
            input_file_id: string;

            /** KeptBatch endpoint. */
            endpoint: string;

            /** KeptBatch metadata. */
            metadata: { [k: string]: string };

            /** KeptBatch output_expires_after_seconds. */
            output_expires_after_seconds: number;

            /** KeptBatch status. */
            status: string;

            /** KeptBatch ending. */
            ending: string;

            /** KeptBatch in_progress_unix_ms. */
            in_progress_unix_ms: number;

            /** KeptBatch finalizing_unix_ms. */
            finalizing_unix_ms: number;

            /** KeptBatch cancelling_unix_ms. */
            cancelling_unix_ms: number;

            /** KeptBatch ended_unix_ms. */
            ended_unix_ms: number;

            /** KeptBatch window_ends_unix_ms. */
            window_ends_unix_ms: number;

            /** KeptBatch errors. */
            errors: moesaic.v1.BatchError.$Properties[];

            /** KeptBatch output_file_id. */
            output_file_id: string;

            /** KeptBatch error_file_id. */
            error_file_id: string;

            /** KeptBatch counts. */
            counts?: (moesaic.v1.BatchCounts.$Properties|null);

            /** KeptBatch completion_window. */
            completion_window: string;

            /**
             * Creates a new KeptBatch instance using the specified properties.
             * @param [properties] Properties to set
             * @returns KeptBatch instance
             */
            static create(properties: moesaic.v1.KeptBatch.$Shape): moesaic.v1.KeptBatch & moesaic.v1.KeptBatch.$Shape;
            static create(properties?: moesaic.v1.KeptBatch.$Properties): moesaic.v1.KeptBatch;

            /**
             * Encodes the specified KeptBatch message. Does not implicitly {@link moesaic.v1.KeptBatch.verify|verify} messages.
             * @param message KeptBatch message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.KeptBatch.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a KeptBatch message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.KeptBatch & moesaic.v1.KeptBatch.$Shape} KeptBatch
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.KeptBatch & moesaic.v1.KeptBatch.$Shape;

            /**
             * Creates a KeptBatch message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns KeptBatch
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.KeptBatch;

            /**
             * Creates a plain object from a KeptBatch message. Also converts values to other types if specified.
             * @param message KeptBatch
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.KeptBatch, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this KeptBatch to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for KeptBatch
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace KeptBatch {

            /** Properties of a KeptBatch. */
            interface $Properties {

                /** KeptBatch input_file_id */
                input_file_id?: (string|null);

                /** KeptBatch endpoint */
                endpoint?: (string|null);

                /** KeptBatch metadata */
                metadata?: ({ [k: string]: string }|null);

                /** KeptBatch output_expires_after_seconds */
                output_expires_after_seconds?: (number|null);

                /** KeptBatch status */
                status?: (string|null);

                /** KeptBatch ending */
                ending?: (string|null);

                /** KeptBatch in_progress_unix_ms */
                in_progress_unix_ms?: (number|null);

                /** KeptBatch finalizing_unix_ms */
                finalizing_unix_ms?: (number|null);

                /** KeptBatch cancelling_unix_ms */
                cancelling_unix_ms?: (number|null);

                /** KeptBatch ended_unix_ms */
                ended_unix_ms?: (number|null);

                /** KeptBatch window_ends_unix_ms */
                window_ends_unix_ms?: (number|null);

                /** KeptBatch errors */
                errors?: (moesaic.v1.BatchError.$Properties[]|null);

                /** KeptBatch output_file_id */
                output_file_id?: (string|null);

                /** KeptBatch error_file_id */
                error_file_id?: (string|null);

                /** KeptBatch counts */
                counts?: (moesaic.v1.BatchCounts.$Properties|null);

                /** KeptBatch completion_window */
                completion_window?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a KeptBatch. */
            type $Shape = moesaic.v1.KeptBatch.$Properties;
        }

        /**
         * Properties of a BatchError.
         * @deprecated Use moesaic.v1.BatchError.$Properties instead.
         */
        interface IBatchError extends moesaic.v1.BatchError.$Properties {
        }

        /** Represents a BatchError. */
        class BatchError {

            /**
             * Constructs a new BatchError.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.BatchError.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** BatchError code. */
            code: string;

            /** BatchError message. */
            message: string;

            /** BatchError line. */
            line: number;

            /** BatchError param. */
            param: string;

            /**
             * Creates a new BatchError instance using the specified properties.
             * @param [properties] Properties to set
             * @returns BatchError instance
             */
            static create(properties: moesaic.v1.BatchError.$Shape): moesaic.v1.BatchError & moesaic.v1.BatchError.$Shape;
            static create(properties?: moesaic.v1.BatchError.$Properties): moesaic.v1.BatchError;

            /**
             * Encodes the specified BatchError message. Does not implicitly {@link moesaic.v1.BatchError.verify|verify} messages.
             * @param message BatchError message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.BatchError.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a BatchError message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.BatchError & moesaic.v1.BatchError.$Shape} BatchError
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.BatchError & moesaic.v1.BatchError.$Shape;

            /**
             * Creates a BatchError message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns BatchError
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.BatchError;

            /**
             * Creates a plain object from a BatchError message. Also converts values to other types if specified.
             * @param message BatchError
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.BatchError, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this BatchError to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for BatchError
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace BatchError {

            /** Properties of a BatchError. */
            interface $Properties {

                /** BatchError code */
                code?: (string|null);

                /** BatchError message */
                message?: (string|null);

                /** BatchError line */
                line?: (number|null);

                /** BatchError param */
                param?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a BatchError. */
            type $Shape = moesaic.v1.BatchError.$Properties;
        }

        /**
         * Properties of a BatchCounts.
         * @deprecated Use moesaic.v1.BatchCounts.$Properties instead.
         */
        interface IBatchCounts extends moesaic.v1.BatchCounts.$Properties {
        }

        /** Represents a BatchCounts. */
        class BatchCounts {

            /**
             * Constructs a new BatchCounts.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.BatchCounts.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** BatchCounts total. */
            total: number;

            /** BatchCounts completed. */
            completed: number;

            /** BatchCounts failed. */
            failed: number;

            /** BatchCounts prompt_tokens. */
            prompt_tokens: number;

            /** BatchCounts cached_tokens. */
            cached_tokens: number;

            /** BatchCounts completion_tokens. */
            completion_tokens: number;

            /** BatchCounts reasoning_tokens. */
            reasoning_tokens: number;

            /**
             * Creates a new BatchCounts instance using the specified properties.
             * @param [properties] Properties to set
             * @returns BatchCounts instance
             */
            static create(properties: moesaic.v1.BatchCounts.$Shape): moesaic.v1.BatchCounts & moesaic.v1.BatchCounts.$Shape;
            static create(properties?: moesaic.v1.BatchCounts.$Properties): moesaic.v1.BatchCounts;

            /**
             * Encodes the specified BatchCounts message. Does not implicitly {@link moesaic.v1.BatchCounts.verify|verify} messages.
             * @param message BatchCounts message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.BatchCounts.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a BatchCounts message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.BatchCounts & moesaic.v1.BatchCounts.$Shape} BatchCounts
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.BatchCounts & moesaic.v1.BatchCounts.$Shape;

            /**
             * Creates a BatchCounts message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns BatchCounts
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.BatchCounts;

            /**
             * Creates a plain object from a BatchCounts message. Also converts values to other types if specified.
             * @param message BatchCounts
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.BatchCounts, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this BatchCounts to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for BatchCounts
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace BatchCounts {

            /** Properties of a BatchCounts. */
            interface $Properties {

                /** BatchCounts total */
                total?: (number|null);

                /** BatchCounts completed */
                completed?: (number|null);

                /** BatchCounts failed */
                failed?: (number|null);

                /** BatchCounts prompt_tokens */
                prompt_tokens?: (number|null);

                /** BatchCounts cached_tokens */
                cached_tokens?: (number|null);

                /** BatchCounts completion_tokens */
                completion_tokens?: (number|null);

                /** BatchCounts reasoning_tokens */
                reasoning_tokens?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a BatchCounts. */
            type $Shape = moesaic.v1.BatchCounts.$Properties;
        }

        /**
         * Properties of a KeptBackground.
         * @deprecated Use moesaic.v1.KeptBackground.$Properties instead.
         */
        interface IKeptBackground extends moesaic.v1.KeptBackground.$Properties {
        }

        /** Represents a KeptBackground. */
        class KeptBackground {

            /**
             * Constructs a new KeptBackground.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.KeptBackground.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /**
             * Creates a new KeptBackground instance using the specified properties.
             * @param [properties] Properties to set
             * @returns KeptBackground instance
             */
            static create(properties: moesaic.v1.KeptBackground.$Shape): moesaic.v1.KeptBackground & moesaic.v1.KeptBackground.$Shape;
            static create(properties?: moesaic.v1.KeptBackground.$Properties): moesaic.v1.KeptBackground;

            /**
             * Encodes the specified KeptBackground message. Does not implicitly {@link moesaic.v1.KeptBackground.verify|verify} messages.
             * @param message KeptBackground message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.KeptBackground.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a KeptBackground message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.KeptBackground & moesaic.v1.KeptBackground.$Shape} KeptBackground
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.KeptBackground & moesaic.v1.KeptBackground.$Shape;

            /**
             * Creates a KeptBackground message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns KeptBackground
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.KeptBackground;

            /**
             * Creates a plain object from a KeptBackground message. Also converts values to other types if specified.
             * @param message KeptBackground
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.KeptBackground, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this KeptBackground to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for KeptBackground
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace KeptBackground {

            /** Properties of a KeptBackground. */
            interface $Properties {

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a KeptBackground. */
            type $Shape = moesaic.v1.KeptBackground.$Properties;
        }

        /** Represents a Rank */
        class Rank extends $protobuf.rpc.Service {

            /**
             * Constructs a new Rank service.
             * @param rpcImpl RPC implementation
             * @param [requestDelimited=false] Whether requests are length-delimited
             * @param [responseDelimited=false] Whether responses are length-delimited
             */
            constructor(rpcImpl: $protobuf.RPCImpl, requestDelimited?: boolean, responseDelimited?: boolean);

            /**
             * Creates new Rank service using the specified rpc implementation.
             * @param rpcImpl RPC implementation
             * @param [requestDelimited=false] Whether requests are length-delimited
             * @param [responseDelimited=false] Whether responses are length-delimited
             * @returns RPC service. Useful where requests and/or responses are streamed.
             */
            static create(rpcImpl: $protobuf.RPCImpl, requestDelimited?: boolean, responseDelimited?: boolean): Rank;

            /** Calls Attach. */
            attach: moesaic.v1.Rank.Attach;
        }

        namespace Rank {

            /**
             * Callback as used by {@link moesaic.v1.Rank#attach}.
             * @param error Error, if any
             * @param [response] ToRank
             */
            type AttachCallback = (error: (Error|null), response?: moesaic.v1.ToRank) => void;

            /** Calls Attach. */
            type Attach = {
              (request: moesaic.v1.IFromRank, callback: moesaic.v1.Rank.AttachCallback): void;
              (request: moesaic.v1.IFromRank): Promise<moesaic.v1.ToRank>;
              readonly name: "Attach";
              readonly path: "/moesaic.v1.Rank/Attach";
              readonly requestType: "FromRank";
              readonly responseType: "ToRank";
              readonly requestStream: true;
              readonly responseStream: true;
            };
        }

        /**
         * Properties of a FromRank.
         * @deprecated Use moesaic.v1.FromRank.$Properties instead.
         */
        interface IFromRank extends moesaic.v1.FromRank.$Properties {
        }

        /** Represents a FromRank. */
        class FromRank {

            /**
             * Constructs a new FromRank.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.FromRank.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** FromRank hello. */
            hello?: (moesaic.v1.Hello.$Properties|null);

            /** FromRank sized. */
            sized?: (moesaic.v1.Sized.$Properties|null);

            /** FromRank load_progress. */
            load_progress?: (moesaic.v1.LoadProgress.$Properties|null);

            /** FromRank ready. */
            ready?: (moesaic.v1.Ready.$Properties|null);

            /** FromRank progress. */
            progress?: (moesaic.v1.Progress.$Properties|null);

            /** FromRank step_result. */
            step_result?: (moesaic.v1.StepResultColumns.$Properties|null);

            /** FromRank failure. */
            failure?: (moesaic.v1.Failure.$Properties|null);

            /** FromRank drained. */
            drained?: (moesaic.v1.Drained.$Properties|null);

            /** FromRank message. */
            message?: ("hello"|"sized"|"load_progress"|"ready"|"progress"|"step_result"|"failure"|"drained");

            /**
             * Creates a new FromRank instance using the specified properties.
             * @param [properties] Properties to set
             * @returns FromRank instance
             */
            static create(properties: moesaic.v1.FromRank.$Shape): moesaic.v1.FromRank & moesaic.v1.FromRank.$Shape;
            static create(properties?: moesaic.v1.FromRank.$Properties): moesaic.v1.FromRank;

            /**
             * Encodes the specified FromRank message. Does not implicitly {@link moesaic.v1.FromRank.verify|verify} messages.
             * @param message FromRank message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.FromRank.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a FromRank message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.FromRank & moesaic.v1.FromRank.$Shape} FromRank
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.FromRank & moesaic.v1.FromRank.$Shape;

            /**
             * Creates a FromRank message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns FromRank
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.FromRank;

            /**
             * Creates a plain object from a FromRank message. Also converts values to other types if specified.
             * @param message FromRank
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.FromRank, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this FromRank to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for FromRank
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace FromRank {

            /** Properties of a FromRank. */
            interface $Properties {

                /** FromRank hello */
                hello?: (moesaic.v1.Hello.$Properties|null);

                /** FromRank sized */
                sized?: (moesaic.v1.Sized.$Properties|null);

                /** FromRank load_progress */
                load_progress?: (moesaic.v1.LoadProgress.$Properties|null);

                /** FromRank ready */
                ready?: (moesaic.v1.Ready.$Properties|null);

                /** FromRank progress */
                progress?: (moesaic.v1.Progress.$Properties|null);

                /** FromRank step_result */
                step_result?: (moesaic.v1.StepResultColumns.$Properties|null);

                /** FromRank failure */
                failure?: (moesaic.v1.Failure.$Properties|null);

                /** FromRank drained */
                drained?: (moesaic.v1.Drained.$Properties|null);

                /** FromRank message */
                message?: ("hello"|"sized"|"load_progress"|"ready"|"progress"|"step_result"|"failure"|"drained");

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Narrowed shape of a FromRank. */
            type $Shape = {
              hello?: moesaic.v1.Hello.$Shape|null;
              sized?: moesaic.v1.Sized.$Shape|null;
              load_progress?: moesaic.v1.LoadProgress.$Shape|null;
              ready?: moesaic.v1.Ready.$Shape|null;
              progress?: moesaic.v1.Progress.$Shape|null;
              step_result?: moesaic.v1.StepResultColumns.$Shape|null;
              failure?: moesaic.v1.Failure.$Shape|null;
              drained?: moesaic.v1.Drained.$Shape|null;
              $unknowns?: Uint8Array[];
            } & (
              ({ message?: undefined; hello?: null; sized?: null; load_progress?: null; ready?: null; progress?: null; step_result?: null; failure?: null; drained?: null }|{ message?: "hello"; hello: moesaic.v1.Hello.$Shape; sized?: null; load_progress?: null; ready?: null; progress?: null; step_result?: null; failure?: null; drained?: null }|{ message?: "sized"; hello?: null; sized: moesaic.v1.Sized.$Shape; load_progress?: null; ready?: null; progress?: null; step_result?: null; failure?: null; drained?: null }|{ message?: "load_progress"; hello?: null; sized?: null; load_progress: moesaic.v1.LoadProgress.$Shape; ready?: null; progress?: null; step_result?: null; failure?: null; drained?: null }|{ message?: "ready"; hello?: null; sized?: null; load_progress?: null; ready: moesaic.v1.Ready.$Shape; progress?: null; step_result?: null; failure?: null; drained?: null }|{ message?: "progress"; hello?: null; sized?: null; load_progress?: null; ready?: null; progress: moesaic.v1.Progress.$Shape; step_result?: null; failure?: null; drained?: null }|{ message?: "step_result"; hello?: null; sized?: null; load_progress?: null; ready?: null; progress?: null; step_result: moesaic.v1.StepResultColumns.$Shape; failure?: null; drained?: null }|{ message?: "failure"; hello?: null; sized?: null; load_progress?: null; ready?: null; progress?: null; step_result?: null; failure: moesaic.v1.Failure.$Shape; drained?: null }|{ message?: "drained"; hello?: null; sized?: null; load_progress?: null; ready?: null; progress?: null; step_result?: null; failure?: null; drained: moesaic.v1.Drained.$Shape })
            );
        }

        /**
         * Properties of a ToRank.
         * @deprecated Use moesaic.v1.ToRank.$Properties instead.
         */
        interface IToRank extends moesaic.v1.ToRank.$Properties {
        }

        /** Represents a ToRank. */
        class ToRank {

            /**
             * Constructs a new ToRank.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.ToRank.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** ToRank assignment. */
            assignment?: (moesaic.v1.Assignment.$Properties|null);

            /** ToRank load. */
            load?: (moesaic.v1.Load.$Properties|null);

            /** ToRank step_plan. */
            step_plan?: (moesaic.v1.StepPlanColumns.$Properties|null);

            /** ToRank drain. */
            drain?: (moesaic.v1.Drain.$Properties|null);

            /** ToRank end_epoch. */
            end_epoch?: (moesaic.v1.EndEpoch.$Properties|null);

            /** ToRank resume. */
            resume?: (moesaic.v1.Resume.$Properties|null);

            /** ToRank end_grants. */
            end_grants?: (moesaic.v1.EndGrants.$Properties|null);

            /** ToRank message. */
            message?: ("assignment"|"load"|"step_plan"|"drain"|"end_epoch"|"resume"|"end_grants");

            /**
             * Creates a new ToRank instance using the specified properties.
             * @param [properties] Properties to set
             * @returns ToRank instance
             */
            static create(properties: moesaic.v1.ToRank.$Shape): moesaic.v1.ToRank & moesaic.v1.ToRank.$Shape;
            static create(properties?: moesaic.v1.ToRank.$Properties): moesaic.v1.ToRank;

            /**
             * Encodes the specified ToRank message. Does not implicitly {@link moesaic.v1.ToRank.verify|verify} messages.
             * @param message ToRank message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.ToRank.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a ToRank message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.ToRank & moesaic.v1.ToRank.$Shape} ToRank
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.ToRank & moesaic.v1.ToRank.$Shape;

            /**
             * Creates a ToRank message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns ToRank
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.ToRank;

            /**
             * Creates a plain object from a ToRank message. Also converts values to other types if specified.
             * @param message ToRank
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.ToRank, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this ToRank to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for ToRank
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace ToRank {

            /** Properties of a ToRank. */
            interface $Properties {

                /** ToRank assignment */
                assignment?: (moesaic.v1.Assignment.$Properties|null);

                /** ToRank load */
                load?: (moesaic.v1.Load.$Properties|null);

                /** ToRank step_plan */
                step_plan?: (moesaic.v1.StepPlanColumns.$Properties|null);

                /** ToRank drain */
                drain?: (moesaic.v1.Drain.$Properties|null);

                /** ToRank end_epoch */
                end_epoch?: (moesaic.v1.EndEpoch.$Properties|null);

                /** ToRank resume */
                resume?: (moesaic.v1.Resume.$Properties|null);

                /** ToRank end_grants */
                end_grants?: (moesaic.v1.EndGrants.$Properties|null);

                /** ToRank message */
                message?: ("assignment"|"load"|"step_plan"|"drain"|"end_epoch"|"resume"|"end_grants");

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Narrowed shape of a ToRank. */
            type $Shape = {
              assignment?: moesaic.v1.Assignment.$Shape|null;
              load?: moesaic.v1.Load.$Shape|null;
              step_plan?: moesaic.v1.StepPlanColumns.$Shape|null;
              drain?: moesaic.v1.Drain.$Shape|null;
              end_epoch?: moesaic.v1.EndEpoch.$Shape|null;
              resume?: moesaic.v1.Resume.$Shape|null;
              end_grants?: moesaic.v1.EndGrants.$Shape|null;
              $unknowns?: Uint8Array[];
            } & (
              ({ message?: undefined; assignment?: null; load?: null; step_plan?: null; drain?: null; end_epoch?: null; resume?: null; end_grants?: null }|{ message?: "assignment"; assignment: moesaic.v1.Assignment.$Shape; load?: null; step_plan?: null; drain?: null; end_epoch?: null; resume?: null; end_grants?: null }|{ message?: "load"; assignment?: null; load: moesaic.v1.Load.$Shape; step_plan?: null; drain?: null; end_epoch?: null; resume?: null; end_grants?: null }|{ message?: "step_plan"; assignment?: null; load?: null; step_plan: moesaic.v1.StepPlanColumns.$Shape; drain?: null; end_epoch?: null; resume?: null; end_grants?: null }|{ message?: "drain"; assignment?: null; load?: null; step_plan?: null; drain: moesaic.v1.Drain.$Shape; end_epoch?: null; resume?: null; end_grants?: null }|{ message?: "end_epoch"; assignment?: null; load?: null; step_plan?: null; drain?: null; end_epoch: moesaic.v1.EndEpoch.$Shape; resume?: null; end_grants?: null }|{ message?: "resume"; assignment?: null; load?: null; step_plan?: null; drain?: null; end_epoch?: null; resume: moesaic.v1.Resume.$Shape; end_grants?: null }|{ message?: "end_grants"; assignment?: null; load?: null; step_plan?: null; drain?: null; end_epoch?: null; resume?: null; end_grants: moesaic.v1.EndGrants.$Shape })
            );
        }

        /**
         * Properties of a Hello.
         * @deprecated Use moesaic.v1.Hello.$Properties instead.
         */
        interface IHello extends moesaic.v1.Hello.$Properties {
        }

        /** Represents a Hello. */
        class Hello {

            /**
             * Constructs a new Hello.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Hello.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Hello protocol_version. */
            protocol_version: number;

            /** Hello build. */
            build: string;

            /** Hello host_id. */
            host_id: string;

            /** Hello pid. */
            pid: number;

            /** Hello device. */
            device?: (moesaic.v1.Device.$Properties|null);

            /** Hello launch_id. */
            launch_id: string;

            /** Hello held. */
            held?: (moesaic.v1.Held.$Properties|null);

            /** Hello data_plane_addresses. */
            data_plane_addresses: string[];

            /**
             * Creates a new Hello instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Hello instance
             */
            static create(properties: moesaic.v1.Hello.$Shape): moesaic.v1.Hello & moesaic.v1.Hello.$Shape;
            static create(properties?: moesaic.v1.Hello.$Properties): moesaic.v1.Hello;

            /**
             * Encodes the specified Hello message. Does not implicitly {@link moesaic.v1.Hello.verify|verify} messages.
             * @param message Hello message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Hello.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Hello message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Hello & moesaic.v1.Hello.$Shape} Hello
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Hello & moesaic.v1.Hello.$Shape;

            /**
             * Creates a Hello message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Hello
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Hello;

            /**
             * Creates a plain object from a Hello message. Also converts values to other types if specified.
             * @param message Hello
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Hello, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Hello to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Hello
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Hello {

            /** Properties of a Hello. */
            interface $Properties {

                /** Hello protocol_version */
                protocol_version?: (number|null);

                /** Hello build */
                build?: (string|null);

                /** Hello host_id */
                host_id?: (string|null);

                /** Hello pid */
                pid?: (number|null);

                /** Hello device */
                device?: (moesaic.v1.Device.$Properties|null);

                /** Hello launch_id */
                launch_id?: (string|null);

                /** Hello held */
                held?: (moesaic.v1.Held.$Properties|null);

                /** Hello data_plane_addresses */
                data_plane_addresses?: (string[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Hello. */
            type $Shape = moesaic.v1.Hello.$Properties;
        }

        /**
         * Properties of a Device.
         * @deprecated Use moesaic.v1.Device.$Properties instead.
         */
        interface IDevice extends moesaic.v1.Device.$Properties {
        }

        /** Represents a Device. */
        class Device {

            /**
             * Constructs a new Device.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Device.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Device kind. */
            kind: string;

            /** Device name. */
            name: string;

            /** Device device_index. */
            device_index: number;

            /** Device num_cores. */
            num_cores: number;

            /** Device memory_bytes. */
            memory_bytes: number;

            /** Device features. */
            features: string[];

            /** Device num_threads. */
            num_threads: number;

            /**
             * Creates a new Device instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Device instance
             */
            static create(properties: moesaic.v1.Device.$Shape): moesaic.v1.Device & moesaic.v1.Device.$Shape;
            static create(properties?: moesaic.v1.Device.$Properties): moesaic.v1.Device;

            /**
             * Encodes the specified Device message. Does not implicitly {@link moesaic.v1.Device.verify|verify} messages.
             * @param message Device message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Device.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Device message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Device & moesaic.v1.Device.$Shape} Device
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Device & moesaic.v1.Device.$Shape;

            /**
             * Creates a Device message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Device
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Device;

            /**
             * Creates a plain object from a Device message. Also converts values to other types if specified.
             * @param message Device
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Device, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Device to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Device
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Device {

            /** Properties of a Device. */
            interface $Properties {

                /** Device kind */
                kind?: (string|null);

                /** Device name */
                name?: (string|null);

                /** Device device_index */
                device_index?: (number|null);

                /** Device num_cores */
                num_cores?: (number|null);

                /** Device memory_bytes */
                memory_bytes?: (number|null);

                /** Device features */
                features?: (string[]|null);

                /** Device num_threads */
                num_threads?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Device. */
            type $Shape = moesaic.v1.Device.$Properties;
        }

        /**
         * Properties of a Held.
         * @deprecated Use moesaic.v1.Held.$Properties instead.
         */
        interface IHeld extends moesaic.v1.Held.$Properties {
        }

        /** Represents a Held. */
        class Held {

            /**
             * Constructs a new Held.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Held.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Held epoch. */
            epoch: number;

            /** Held replica_id. */
            replica_id: number;

            /** Held rank. */
            rank: number;

            /** Held last_step_id. */
            last_step_id: number;

            /** Held digest. */
            digest: string;

            /** Held sized. */
            sized?: (moesaic.v1.Sized.$Properties|null);

            /** Held ready. */
            ready?: (moesaic.v1.Ready.$Properties|null);

            /** Held live_rows. */
            live_rows: number[];

            /**
             * Creates a new Held instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Held instance
             */
            static create(properties: moesaic.v1.Held.$Shape): moesaic.v1.Held & moesaic.v1.Held.$Shape;
            static create(properties?: moesaic.v1.Held.$Properties): moesaic.v1.Held;

            /**
             * Encodes the specified Held message. Does not implicitly {@link moesaic.v1.Held.verify|verify} messages.
             * @param message Held message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Held.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Held message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Held & moesaic.v1.Held.$Shape} Held
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Held & moesaic.v1.Held.$Shape;

            /**
             * Creates a Held message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Held
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Held;

            /**
             * Creates a plain object from a Held message. Also converts values to other types if specified.
             * @param message Held
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Held, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Held to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Held
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Held {

            /** Properties of a Held. */
            interface $Properties {

                /** Held epoch */
                epoch?: (number|null);

                /** Held replica_id */
                replica_id?: (number|null);

                /** Held rank */
                rank?: (number|null);

                /** Held last_step_id */
                last_step_id?: (number|null);

                /** Held digest */
                digest?: (string|null);

                /** Held sized */
                sized?: (moesaic.v1.Sized.$Properties|null);

                /** Held ready */
                ready?: (moesaic.v1.Ready.$Properties|null);

                /** Held live_rows */
                live_rows?: (number[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Held. */
            type $Shape = moesaic.v1.Held.$Properties;
        }

        /**
         * Properties of a Resume.
         * @deprecated Use moesaic.v1.Resume.$Properties instead.
         */
        interface IResume extends moesaic.v1.Resume.$Properties {
        }

        /** Represents a Resume. */
        class Resume {

            /**
             * Constructs a new Resume.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Resume.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Resume epoch. */
            epoch: number;

            /** Resume fencing_token. */
            fencing_token: number;

            /** Resume last_result_id. */
            last_result_id: number;

            /**
             * Creates a new Resume instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Resume instance
             */
            static create(properties: moesaic.v1.Resume.$Shape): moesaic.v1.Resume & moesaic.v1.Resume.$Shape;
            static create(properties?: moesaic.v1.Resume.$Properties): moesaic.v1.Resume;

            /**
             * Encodes the specified Resume message. Does not implicitly {@link moesaic.v1.Resume.verify|verify} messages.
             * @param message Resume message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Resume.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Resume message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Resume & moesaic.v1.Resume.$Shape} Resume
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Resume & moesaic.v1.Resume.$Shape;

            /**
             * Creates a Resume message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Resume
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Resume;

            /**
             * Creates a plain object from a Resume message. Also converts values to other types if specified.
             * @param message Resume
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Resume, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Resume to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Resume
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Resume {

            /** Properties of a Resume. */
            interface $Properties {

                /** Resume epoch */
                epoch?: (number|null);

                /** Resume fencing_token */
                fencing_token?: (number|null);

                /** Resume last_result_id */
                last_result_id?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Resume. */
            type $Shape = moesaic.v1.Resume.$Properties;
        }

        /**
         * Properties of an Assignment.
         * @deprecated Use moesaic.v1.Assignment.$Properties instead.
         */
        interface IAssignment extends moesaic.v1.Assignment.$Properties {
        }

        /** Represents an Assignment. */
        class Assignment {

            /**
             * Constructs a new Assignment.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Assignment.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Assignment epoch. */
            epoch: number;

            /** Assignment replica_id. */
            replica_id: number;

            /** Assignment rank. */
            rank: number;

            /** Assignment world_size. */
            world_size: number;

            /** Assignment program_json. */
            program_json: string;

            /** Assignment model_dir. */
            model_dir: string;

            /** Assignment dummy_seed. */
            dummy_seed?: (number|null);

            /** Assignment kernel_packages. */
            kernel_packages: string[];

            /** Assignment peers. */
            peers: moesaic.v1.Peer.$Properties[];

            /** Assignment data_plane_key. */
            data_plane_key: Uint8Array;

            /** Assignment lease_ms. */
            lease_ms: number;

            /** Assignment stall_ms. */
            stall_ms: number;

            /** Assignment transport. */
            transport: string;

            /** Assignment peer_deadline_ms. */
            peer_deadline_ms: number;

            /** Assignment fencing_token. */
            fencing_token: number;

            /** Assignment deterministic. */
            deterministic: boolean;

            /** Assignment digest. */
            digest: string;

            /** Assignment choices. */
            choices: moesaic.v1.EngineChoice.$Properties[];

            /**
             * Creates a new Assignment instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Assignment instance
             */
            static create(properties: moesaic.v1.Assignment.$Shape): moesaic.v1.Assignment & moesaic.v1.Assignment.$Shape;
            static create(properties?: moesaic.v1.Assignment.$Properties): moesaic.v1.Assignment;

            /**
             * Encodes the specified Assignment message. Does not implicitly {@link moesaic.v1.Assignment.verify|verify} messages.
             * @param message Assignment message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Assignment.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes an Assignment message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Assignment & moesaic.v1.Assignment.$Shape} Assignment
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Assignment & moesaic.v1.Assignment.$Shape;

            /**
             * Creates an Assignment message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Assignment
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Assignment;

            /**
             * Creates a plain object from an Assignment message. Also converts values to other types if specified.
             * @param message Assignment
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Assignment, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Assignment to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Assignment
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Assignment {

            /** Properties of an Assignment. */
            interface $Properties {

                /** Assignment epoch */
                epoch?: (number|null);

                /** Assignment replica_id */
                replica_id?: (number|null);

                /** Assignment rank */
                rank?: (number|null);

                /** Assignment world_size */
                world_size?: (number|null);

                /** Assignment program_json */
                program_json?: (string|null);

                /** Assignment model_dir */
                model_dir?: (string|null);

                /** Assignment dummy_seed */
                dummy_seed?: (number|null);

                /** Assignment kernel_packages */
                kernel_packages?: (string[]|null);

                /** Assignment peers */
                peers?: (moesaic.v1.Peer.$Properties[]|null);

                /** Assignment data_plane_key */
                data_plane_key?: (Uint8Array|null);

                /** Assignment lease_ms */
                lease_ms?: (number|null);

                /** Assignment stall_ms */
                stall_ms?: (number|null);

                /** Assignment transport */
                transport?: (string|null);

                /** Assignment peer_deadline_ms */
                peer_deadline_ms?: (number|null);

                /** Assignment fencing_token */
                fencing_token?: (number|null);

                /** Assignment deterministic */
                deterministic?: (boolean|null);

                /** Assignment digest */
                digest?: (string|null);

                /** Assignment choices */
                choices?: (moesaic.v1.EngineChoice.$Properties[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of an Assignment. */
            type $Shape = moesaic.v1.Assignment.$Properties;
        }

        /**
         * Properties of an EngineChoice.
         * @deprecated Use moesaic.v1.EngineChoice.$Properties instead.
         */
        interface IEngineChoice extends moesaic.v1.EngineChoice.$Properties {
        }

        /** Represents an EngineChoice. */
        class EngineChoice {

            /**
             * Constructs a new EngineChoice.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.EngineChoice.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** EngineChoice name. */
            name: string;

            /** EngineChoice value. */
            value: string;

            /** EngineChoice why. */
            why: string;

            /**
             * Creates a new EngineChoice instance using the specified properties.
             * @param [properties] Properties to set
             * @returns EngineChoice instance
             */
            static create(properties: moesaic.v1.EngineChoice.$Shape): moesaic.v1.EngineChoice & moesaic.v1.EngineChoice.$Shape;
            static create(properties?: moesaic.v1.EngineChoice.$Properties): moesaic.v1.EngineChoice;

            /**
             * Encodes the specified EngineChoice message. Does not implicitly {@link moesaic.v1.EngineChoice.verify|verify} messages.
             * @param message EngineChoice message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.EngineChoice.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes an EngineChoice message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.EngineChoice & moesaic.v1.EngineChoice.$Shape} EngineChoice
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.EngineChoice & moesaic.v1.EngineChoice.$Shape;

            /**
             * Creates an EngineChoice message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns EngineChoice
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.EngineChoice;

            /**
             * Creates a plain object from an EngineChoice message. Also converts values to other types if specified.
             * @param message EngineChoice
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.EngineChoice, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this EngineChoice to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for EngineChoice
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace EngineChoice {

            /** Properties of an EngineChoice. */
            interface $Properties {

                /** EngineChoice name */
                name?: (string|null);

                /** EngineChoice value */
                value?: (string|null);

                /** EngineChoice why */
                why?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of an EngineChoice. */
            type $Shape = moesaic.v1.EngineChoice.$Properties;
        }

        /**
         * Properties of a Peer.
         * @deprecated Use moesaic.v1.Peer.$Properties instead.
         */
        interface IPeer extends moesaic.v1.Peer.$Properties {
        }

        /** Represents a Peer. */
        class Peer {

            /**
             * Constructs a new Peer.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Peer.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Peer rank. */
            rank: number;

            /** Peer host_id. */
            host_id: string;

            /** Peer data_plane_addresses. */
            data_plane_addresses: string[];

            /**
             * Creates a new Peer instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Peer instance
             */
            static create(properties: moesaic.v1.Peer.$Shape): moesaic.v1.Peer & moesaic.v1.Peer.$Shape;
            static create(properties?: moesaic.v1.Peer.$Properties): moesaic.v1.Peer;

            /**
             * Encodes the specified Peer message. Does not implicitly {@link moesaic.v1.Peer.verify|verify} messages.
             * @param message Peer message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Peer.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Peer message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Peer & moesaic.v1.Peer.$Shape} Peer
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Peer & moesaic.v1.Peer.$Shape;

            /**
             * Creates a Peer message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Peer
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Peer;

            /**
             * Creates a plain object from a Peer message. Also converts values to other types if specified.
             * @param message Peer
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Peer, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Peer to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Peer
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Peer {

            /** Properties of a Peer. */
            interface $Properties {

                /** Peer rank */
                rank?: (number|null);

                /** Peer host_id */
                host_id?: (string|null);

                /** Peer data_plane_addresses */
                data_plane_addresses?: (string[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Peer. */
            type $Shape = moesaic.v1.Peer.$Properties;
        }

        /**
         * Properties of a Sized.
         * @deprecated Use moesaic.v1.Sized.$Properties instead.
         */
        interface ISized extends moesaic.v1.Sized.$Properties {
        }

        /** Represents a Sized. */
        class Sized {

            /**
             * Constructs a new Sized.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Sized.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Sized epoch. */
            epoch: number;

            /** Sized weights_bytes. */
            weights_bytes: number;

            /** Sized workspace_bytes. */
            workspace_bytes: number;

            /** Sized kv_block_bytes. */
            kv_block_bytes: number;

            /** Sized memory_bytes. */
            memory_bytes: number;

            /** Sized kernels. */
            kernels: moesaic.v1.BoundKernel.$Properties[];

            /**
             * Creates a new Sized instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Sized instance
             */
            static create(properties: moesaic.v1.Sized.$Shape): moesaic.v1.Sized & moesaic.v1.Sized.$Shape;
            static create(properties?: moesaic.v1.Sized.$Properties): moesaic.v1.Sized;

            /**
             * Encodes the specified Sized message. Does not implicitly {@link moesaic.v1.Sized.verify|verify} messages.
             * @param message Sized message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Sized.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Sized message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Sized & moesaic.v1.Sized.$Shape} Sized
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Sized & moesaic.v1.Sized.$Shape;

            /**
             * Creates a Sized message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Sized
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Sized;

            /**
             * Creates a plain object from a Sized message. Also converts values to other types if specified.
             * @param message Sized
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Sized, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Sized to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Sized
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Sized {

            /** Properties of a Sized. */
            interface $Properties {

                /** Sized epoch */
                epoch?: (number|null);

                /** Sized weights_bytes */
                weights_bytes?: (number|null);

                /** Sized workspace_bytes */
                workspace_bytes?: (number|null);

                /** Sized kv_block_bytes */
                kv_block_bytes?: (number|null);

                /** Sized memory_bytes */
                memory_bytes?: (number|null);

                /** Sized kernels */
                kernels?: (moesaic.v1.BoundKernel.$Properties[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Sized. */
            type $Shape = moesaic.v1.Sized.$Properties;
        }

        /**
         * Properties of a BoundKernel.
         * @deprecated Use moesaic.v1.BoundKernel.$Properties instead.
         */
        interface IBoundKernel extends moesaic.v1.BoundKernel.$Properties {
        }

        /** Represents a BoundKernel. */
        class BoundKernel {

            /**
             * Constructs a new BoundKernel.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.BoundKernel.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** BoundKernel package. */
            package: string;

            /** BoundKernel kernel. */
            kernel: string;

            /** BoundKernel ops. */
            ops: string[];

            /**
             * Creates a new BoundKernel instance using the specified properties.
             * @param [properties] Properties to set
             * @returns BoundKernel instance
             */
            static create(properties: moesaic.v1.BoundKernel.$Shape): moesaic.v1.BoundKernel & moesaic.v1.BoundKernel.$Shape;
            static create(properties?: moesaic.v1.BoundKernel.$Properties): moesaic.v1.BoundKernel;

            /**
             * Encodes the specified BoundKernel message. Does not implicitly {@link moesaic.v1.BoundKernel.verify|verify} messages.
             * @param message BoundKernel message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.BoundKernel.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a BoundKernel message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.BoundKernel & moesaic.v1.BoundKernel.$Shape} BoundKernel
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.BoundKernel & moesaic.v1.BoundKernel.$Shape;

            /**
             * Creates a BoundKernel message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns BoundKernel
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.BoundKernel;

            /**
             * Creates a plain object from a BoundKernel message. Also converts values to other types if specified.
             * @param message BoundKernel
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.BoundKernel, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this BoundKernel to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for BoundKernel
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace BoundKernel {

            /** Properties of a BoundKernel. */
            interface $Properties {

                /** BoundKernel package */
                "package"?: (string|null);

                /** BoundKernel kernel */
                kernel?: (string|null);

                /** BoundKernel ops */
                ops?: (string[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a BoundKernel. */
            type $Shape = moesaic.v1.BoundKernel.$Properties;
        }

        /**
         * Properties of a Load.
         * @deprecated Use moesaic.v1.Load.$Properties instead.
         */
        interface ILoad extends moesaic.v1.Load.$Properties {
        }

        /** Represents a Load. */
        class Load {

            /**
             * Constructs a new Load.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Load.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Load epoch. */
            epoch: number;

            /** Load num_blocks. */
            num_blocks: number;

            /**
             * Creates a new Load instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Load instance
             */
            static create(properties: moesaic.v1.Load.$Shape): moesaic.v1.Load & moesaic.v1.Load.$Shape;
            static create(properties?: moesaic.v1.Load.$Properties): moesaic.v1.Load;

            /**
             * Encodes the specified Load message. Does not implicitly {@link moesaic.v1.Load.verify|verify} messages.
             * @param message Load message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Load.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Load message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Load & moesaic.v1.Load.$Shape} Load
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Load & moesaic.v1.Load.$Shape;

            /**
             * Creates a Load message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Load
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Load;

            /**
             * Creates a plain object from a Load message. Also converts values to other types if specified.
             * @param message Load
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Load, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Load to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Load
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Load {

            /** Properties of a Load. */
            interface $Properties {

                /** Load epoch */
                epoch?: (number|null);

                /** Load num_blocks */
                num_blocks?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Load. */
            type $Shape = moesaic.v1.Load.$Properties;
        }

        /**
         * Properties of a LoadProgress.
         * @deprecated Use moesaic.v1.LoadProgress.$Properties instead.
         */
        interface ILoadProgress extends moesaic.v1.LoadProgress.$Properties {
        }

        /** Represents a LoadProgress. */
        class LoadProgress {

            /**
             * Constructs a new LoadProgress.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.LoadProgress.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** LoadProgress epoch. */
            epoch: number;

            /** LoadProgress bytes_done. */
            bytes_done: number;

            /** LoadProgress bytes_planned. */
            bytes_planned: number;

            /**
             * Creates a new LoadProgress instance using the specified properties.
             * @param [properties] Properties to set
             * @returns LoadProgress instance
             */
            static create(properties: moesaic.v1.LoadProgress.$Shape): moesaic.v1.LoadProgress & moesaic.v1.LoadProgress.$Shape;
            static create(properties?: moesaic.v1.LoadProgress.$Properties): moesaic.v1.LoadProgress;

            /**
             * Encodes the specified LoadProgress message. Does not implicitly {@link moesaic.v1.LoadProgress.verify|verify} messages.
             * @param message LoadProgress message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.LoadProgress.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a LoadProgress message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.LoadProgress & moesaic.v1.LoadProgress.$Shape} LoadProgress
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.LoadProgress & moesaic.v1.LoadProgress.$Shape;

            /**
             * Creates a LoadProgress message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns LoadProgress
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.LoadProgress;

            /**
             * Creates a plain object from a LoadProgress message. Also converts values to other types if specified.
             * @param message LoadProgress
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.LoadProgress, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this LoadProgress to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for LoadProgress
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace LoadProgress {

            /** Properties of a LoadProgress. */
            interface $Properties {

                /** LoadProgress epoch */
                epoch?: (number|null);

                /** LoadProgress bytes_done */
                bytes_done?: (number|null);

                /** LoadProgress bytes_planned */
                bytes_planned?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a LoadProgress. */
            type $Shape = moesaic.v1.LoadProgress.$Properties;
        }

        /**
         * Properties of a Ready.
         * @deprecated Use moesaic.v1.Ready.$Properties instead.
         */
        interface IReady extends moesaic.v1.Ready.$Properties {
        }

        /** Represents a Ready. */
        class Ready {

            /**
             * Constructs a new Ready.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Ready.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Ready epoch. */
            epoch: number;

            /** Ready num_blocks. */
            num_blocks: number;

            /** Ready weights_bytes. */
            weights_bytes: number;

            /** Ready kv_bytes. */
            kv_bytes: number;

            /** Ready workspace_bytes. */
            workspace_bytes: number;

            /** Ready load_bytes_read. */
            load_bytes_read: number;

            /** Ready load_ms. */
            load_ms: number;

            /**
             * Creates a new Ready instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Ready instance
             */
            static create(properties: moesaic.v1.Ready.$Shape): moesaic.v1.Ready & moesaic.v1.Ready.$Shape;
            static create(properties?: moesaic.v1.Ready.$Properties): moesaic.v1.Ready;

            /**
             * Encodes the specified Ready message. Does not implicitly {@link moesaic.v1.Ready.verify|verify} messages.
             * @param message Ready message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Ready.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Ready message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Ready & moesaic.v1.Ready.$Shape} Ready
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Ready & moesaic.v1.Ready.$Shape;

            /**
             * Creates a Ready message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Ready
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Ready;

            /**
             * Creates a plain object from a Ready message. Also converts values to other types if specified.
             * @param message Ready
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Ready, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Ready to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Ready
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Ready {

            /** Properties of a Ready. */
            interface $Properties {

                /** Ready epoch */
                epoch?: (number|null);

                /** Ready num_blocks */
                num_blocks?: (number|null);

                /** Ready weights_bytes */
                weights_bytes?: (number|null);

                /** Ready kv_bytes */
                kv_bytes?: (number|null);

                /** Ready workspace_bytes */
                workspace_bytes?: (number|null);

                /** Ready load_bytes_read */
                load_bytes_read?: (number|null);

                /** Ready load_ms */
                load_ms?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Ready. */
            type $Shape = moesaic.v1.Ready.$Properties;
        }

        /**
         * Properties of a Progress.
         * @deprecated Use moesaic.v1.Progress.$Properties instead.
         */
        interface IProgress extends moesaic.v1.Progress.$Properties {
        }

        /** Represents a Progress. */
        class Progress {

            /**
             * Constructs a new Progress.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Progress.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Progress epoch. */
            epoch: number;

            /** Progress counter. */
            counter: number;

            /** Progress step_id. */
            step_id: number;

            /** Progress op. */
            op: string;

            /** Progress rss_bytes. */
            rss_bytes: number;

            /** Progress collectives. */
            collectives: moesaic.v1.CollectiveStatus.$Properties[];

            /** Progress bytes_read. */
            bytes_read: number;

            /** Progress expert_tokens. */
            expert_tokens: number[];

            /** Progress steps. */
            steps: moesaic.v1.StepTime.$Properties[];

            /** Progress sent_ms. */
            sent_ms: number;

            /**
             * Creates a new Progress instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Progress instance
             */
            static create(properties: moesaic.v1.Progress.$Shape): moesaic.v1.Progress & moesaic.v1.Progress.$Shape;
            static create(properties?: moesaic.v1.Progress.$Properties): moesaic.v1.Progress;

            /**
             * Encodes the specified Progress message. Does not implicitly {@link moesaic.v1.Progress.verify|verify} messages.
             * @param message Progress message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Progress.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Progress message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Progress & moesaic.v1.Progress.$Shape} Progress
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Progress & moesaic.v1.Progress.$Shape;

            /**
             * Creates a Progress message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Progress
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Progress;

            /**
             * Creates a plain object from a Progress message. Also converts values to other types if specified.
             * @param message Progress
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Progress, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Progress to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Progress
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Progress {

            /** Properties of a Progress. */
            interface $Properties {

                /** Progress epoch */
                epoch?: (number|null);

                /** Progress counter */
                counter?: (number|null);

                /** Progress step_id */
                step_id?: (number|null);

                /** Progress op */
                op?: (string|null);

                /** Progress rss_bytes */
                rss_bytes?: (number|null);

                /** Progress collectives */
                collectives?: (moesaic.v1.CollectiveStatus.$Properties[]|null);

                /** Progress bytes_read */
                bytes_read?: (number|null);

                /** Progress expert_tokens */
                expert_tokens?: (number[]|null);

                /** Progress steps */
                steps?: (moesaic.v1.StepTime.$Properties[]|null);

                /** Progress sent_ms */
                sent_ms?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Progress. */
            type $Shape = moesaic.v1.Progress.$Properties;
        }

        /**
         * Properties of a StepTime.
         * @deprecated Use moesaic.v1.StepTime.$Properties instead.
         */
        interface IStepTime extends moesaic.v1.StepTime.$Properties {
        }

        /** Represents a StepTime. */
        class StepTime {

            /**
             * Constructs a new StepTime.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.StepTime.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** StepTime step_id. */
            step_id: number;

            /** StepTime ended_us_ago. */
            ended_us_ago: number;

            /** StepTime engine_us. */
            engine_us: number;

            /** StepTime collective_us. */
            collective_us: number;

            /**
             * Creates a new StepTime instance using the specified properties.
             * @param [properties] Properties to set
             * @returns StepTime instance
             */
            static create(properties: moesaic.v1.StepTime.$Shape): moesaic.v1.StepTime & moesaic.v1.StepTime.$Shape;
            static create(properties?: moesaic.v1.StepTime.$Properties): moesaic.v1.StepTime;

            /**
             * Encodes the specified StepTime message. Does not implicitly {@link moesaic.v1.StepTime.verify|verify} messages.
             * @param message StepTime message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.StepTime.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a StepTime message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.StepTime & moesaic.v1.StepTime.$Shape} StepTime
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.StepTime & moesaic.v1.StepTime.$Shape;

            /**
             * Creates a StepTime message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns StepTime
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.StepTime;

            /**
             * Creates a plain object from a StepTime message. Also converts values to other types if specified.
             * @param message StepTime
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.StepTime, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this StepTime to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for StepTime
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace StepTime {

            /** Properties of a StepTime. */
            interface $Properties {

                /** StepTime step_id */
                step_id?: (number|null);

                /** StepTime ended_us_ago */
                ended_us_ago?: (number|null);

                /** StepTime engine_us */
                engine_us?: (number|null);

                /** StepTime collective_us */
                collective_us?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a StepTime. */
            type $Shape = moesaic.v1.StepTime.$Properties;
        }

        /**
         * Properties of a Failure.
         * @deprecated Use moesaic.v1.Failure.$Properties instead.
         */
        interface IFailure extends moesaic.v1.Failure.$Properties {
        }

        /** Represents a Failure. */
        class Failure {

            /**
             * Constructs a new Failure.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Failure.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Failure epoch. */
            epoch: number;

            /** Failure code. */
            code: string;

            /** Failure text. */
            text: string;

            /** Failure place. */
            place: string;

            /** Failure step_id. */
            step_id: number;

            /** Failure op. */
            op: string;

            /**
             * Creates a new Failure instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Failure instance
             */
            static create(properties: moesaic.v1.Failure.$Shape): moesaic.v1.Failure & moesaic.v1.Failure.$Shape;
            static create(properties?: moesaic.v1.Failure.$Properties): moesaic.v1.Failure;

            /**
             * Encodes the specified Failure message. Does not implicitly {@link moesaic.v1.Failure.verify|verify} messages.
             * @param message Failure message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Failure.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Failure message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Failure & moesaic.v1.Failure.$Shape} Failure
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Failure & moesaic.v1.Failure.$Shape;

            /**
             * Creates a Failure message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Failure
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Failure;

            /**
             * Creates a plain object from a Failure message. Also converts values to other types if specified.
             * @param message Failure
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Failure, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Failure to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Failure
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Failure {

            /** Properties of a Failure. */
            interface $Properties {

                /** Failure epoch */
                epoch?: (number|null);

                /** Failure code */
                code?: (string|null);

                /** Failure text */
                text?: (string|null);

                /** Failure place */
                place?: (string|null);

                /** Failure step_id */
                step_id?: (number|null);

                /** Failure op */
                op?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Failure. */
            type $Shape = moesaic.v1.Failure.$Properties;
        }

        /**
         * Properties of a Drain.
         * @deprecated Use moesaic.v1.Drain.$Properties instead.
         */
        interface IDrain extends moesaic.v1.Drain.$Properties {
        }

        /** Represents a Drain. */
        class Drain {

            /**
             * Constructs a new Drain.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Drain.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Drain epoch. */
            epoch: number;

            /** Drain look_again. */
            look_again: boolean;

            /**
             * Creates a new Drain instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Drain instance
             */
            static create(properties: moesaic.v1.Drain.$Shape): moesaic.v1.Drain & moesaic.v1.Drain.$Shape;
            static create(properties?: moesaic.v1.Drain.$Properties): moesaic.v1.Drain;

            /**
             * Encodes the specified Drain message. Does not implicitly {@link moesaic.v1.Drain.verify|verify} messages.
             * @param message Drain message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Drain.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Drain message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Drain & moesaic.v1.Drain.$Shape} Drain
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Drain & moesaic.v1.Drain.$Shape;

            /**
             * Creates a Drain message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Drain
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Drain;

            /**
             * Creates a plain object from a Drain message. Also converts values to other types if specified.
             * @param message Drain
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Drain, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Drain to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Drain
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Drain {

            /** Properties of a Drain. */
            interface $Properties {

                /** Drain epoch */
                epoch?: (number|null);

                /** Drain look_again */
                look_again?: (boolean|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Drain. */
            type $Shape = moesaic.v1.Drain.$Properties;
        }

        /**
         * Properties of a Drained.
         * @deprecated Use moesaic.v1.Drained.$Properties instead.
         */
        interface IDrained extends moesaic.v1.Drained.$Properties {
        }

        /** Represents a Drained. */
        class Drained {

            /**
             * Constructs a new Drained.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.Drained.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Drained epoch. */
            epoch: number;

            /**
             * Creates a new Drained instance using the specified properties.
             * @param [properties] Properties to set
             * @returns Drained instance
             */
            static create(properties: moesaic.v1.Drained.$Shape): moesaic.v1.Drained & moesaic.v1.Drained.$Shape;
            static create(properties?: moesaic.v1.Drained.$Properties): moesaic.v1.Drained;

            /**
             * Encodes the specified Drained message. Does not implicitly {@link moesaic.v1.Drained.verify|verify} messages.
             * @param message Drained message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.Drained.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Drained message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.Drained & moesaic.v1.Drained.$Shape} Drained
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.Drained & moesaic.v1.Drained.$Shape;

            /**
             * Creates a Drained message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns Drained
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.Drained;

            /**
             * Creates a plain object from a Drained message. Also converts values to other types if specified.
             * @param message Drained
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.Drained, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this Drained to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for Drained
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace Drained {

            /** Properties of a Drained. */
            interface $Properties {

                /** Drained epoch */
                epoch?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Drained. */
            type $Shape = moesaic.v1.Drained.$Properties;
        }

        /**
         * Properties of an EndEpoch.
         * @deprecated Use moesaic.v1.EndEpoch.$Properties instead.
         */
        interface IEndEpoch extends moesaic.v1.EndEpoch.$Properties {
        }

        /** Represents an EndEpoch. */
        class EndEpoch {

            /**
             * Constructs a new EndEpoch.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.EndEpoch.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** EndEpoch epoch. */
            epoch: number;

            /** EndEpoch reason. */
            reason: string;

            /**
             * Creates a new EndEpoch instance using the specified properties.
             * @param [properties] Properties to set
             * @returns EndEpoch instance
             */
            static create(properties: moesaic.v1.EndEpoch.$Shape): moesaic.v1.EndEpoch & moesaic.v1.EndEpoch.$Shape;
            static create(properties?: moesaic.v1.EndEpoch.$Properties): moesaic.v1.EndEpoch;

            /**
             * Encodes the specified EndEpoch message. Does not implicitly {@link moesaic.v1.EndEpoch.verify|verify} messages.
             * @param message EndEpoch message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.EndEpoch.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes an EndEpoch message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.EndEpoch & moesaic.v1.EndEpoch.$Shape} EndEpoch
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.EndEpoch & moesaic.v1.EndEpoch.$Shape;

            /**
             * Creates an EndEpoch message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns EndEpoch
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.EndEpoch;

            /**
             * Creates a plain object from an EndEpoch message. Also converts values to other types if specified.
             * @param message EndEpoch
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.EndEpoch, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this EndEpoch to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for EndEpoch
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace EndEpoch {

            /** Properties of an EndEpoch. */
            interface $Properties {

                /** EndEpoch epoch */
                epoch?: (number|null);

                /** EndEpoch reason */
                reason?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of an EndEpoch. */
            type $Shape = moesaic.v1.EndEpoch.$Properties;
        }

        /**
         * Properties of a StepPlanColumns.
         * @deprecated Use moesaic.v1.StepPlanColumns.$Properties instead.
         */
        interface IStepPlanColumns extends moesaic.v1.StepPlanColumns.$Properties {
        }

        /** Represents a StepPlanColumns. */
        class StepPlanColumns {

            /**
             * Constructs a new StepPlanColumns.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.StepPlanColumns.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** StepPlanColumns epoch. */
            epoch: number;

            /** StepPlanColumns step_id. */
            step_id: number;

            /** StepPlanColumns num_granted_steps. */
            num_granted_steps: number;

            /** StepPlanColumns token_ids. */
            token_ids: Uint8Array;

            /** StepPlanColumns positions. */
            positions: Uint8Array;

            /** StepPlanColumns seq_rows. */
            seq_rows: Uint8Array;

            /** StepPlanColumns query_starts. */
            query_starts: Uint8Array;

            /** StepPlanColumns seq_lens. */
            seq_lens: Uint8Array;

            /** StepPlanColumns outputs. */
            outputs: Uint8Array;

            /** StepPlanColumns new_rows. */
            new_rows: moesaic.v1.NewRowMessage.$Properties[];

            /** StepPlanColumns block_deltas. */
            block_deltas: Uint8Array[];

            /** StepPlanColumns finished_rows. */
            finished_rows: Uint8Array;

            /** StepPlanColumns owner_ranks. */
            owner_ranks: Uint8Array;

            /** StepPlanColumns token_placement. */
            token_placement: string;

            /** StepPlanColumns last_result_id. */
            last_result_id: number;

            /** StepPlanColumns masks. */
            masks: Uint8Array;

            /** StepPlanColumns follows_step_id. */
            follows_step_id: number;

            /**
             * Creates a new StepPlanColumns instance using the specified properties.
             * @param [properties] Properties to set
             * @returns StepPlanColumns instance
             */
            static create(properties: moesaic.v1.StepPlanColumns.$Shape): moesaic.v1.StepPlanColumns & moesaic.v1.StepPlanColumns.$Shape;
            static create(properties?: moesaic.v1.StepPlanColumns.$Properties): moesaic.v1.StepPlanColumns;

            /**
             * Encodes the specified StepPlanColumns message. Does not implicitly {@link moesaic.v1.StepPlanColumns.verify|verify} messages.
             * @param message StepPlanColumns message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.StepPlanColumns.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a StepPlanColumns message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.StepPlanColumns & moesaic.v1.StepPlanColumns.$Shape} StepPlanColumns
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.StepPlanColumns & moesaic.v1.StepPlanColumns.$Shape;

            /**
             * Creates a StepPlanColumns message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns StepPlanColumns
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.StepPlanColumns;

            /**
             * Creates a plain object from a StepPlanColumns message. Also converts values to other types if specified.
             * @param message StepPlanColumns
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.StepPlanColumns, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this StepPlanColumns to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for StepPlanColumns
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace StepPlanColumns {

            /** Properties of a StepPlanColumns. */
            interface $Properties {

                /** StepPlanColumns epoch */
                epoch?: (number|null);

                /** StepPlanColumns step_id */
                step_id?: (number|null);

                /** StepPlanColumns num_granted_steps */
                num_granted_steps?: (number|null);

                /** StepPlanColumns token_ids */
                token_ids?: (Uint8Array|null);

                /** StepPlanColumns positions */
                positions?: (Uint8Array|null);

                /** StepPlanColumns seq_rows */
                seq_rows?: (Uint8Array|null);

                /** StepPlanColumns query_starts */
                query_starts?: (Uint8Array|null);

                /** StepPlanColumns seq_lens */
                seq_lens?: (Uint8Array|null);

                /** StepPlanColumns outputs */
                outputs?: (Uint8Array|null);

                /** StepPlanColumns new_rows */
                new_rows?: (moesaic.v1.NewRowMessage.$Properties[]|null);

                /** StepPlanColumns block_deltas */
                block_deltas?: (Uint8Array[]|null);

                /** StepPlanColumns finished_rows */
                finished_rows?: (Uint8Array|null);

                /** StepPlanColumns owner_ranks */
                owner_ranks?: (Uint8Array|null);

                /** StepPlanColumns token_placement */
                token_placement?: (string|null);

                /** StepPlanColumns last_result_id */
                last_result_id?: (number|null);

                /** StepPlanColumns masks */
                masks?: (Uint8Array|null);

                /** StepPlanColumns follows_step_id */
                follows_step_id?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a StepPlanColumns. */
            type $Shape = moesaic.v1.StepPlanColumns.$Properties;
        }

        /**
         * Properties of an EndGrants.
         * @deprecated Use moesaic.v1.EndGrants.$Properties instead.
         */
        interface IEndGrants extends moesaic.v1.EndGrants.$Properties {
        }

        /** Represents an EndGrants. */
        class EndGrants {

            /**
             * Constructs a new EndGrants.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.EndGrants.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** EndGrants epoch. */
            epoch: number;

            /** EndGrants step_id. */
            step_id: number;

            /**
             * Creates a new EndGrants instance using the specified properties.
             * @param [properties] Properties to set
             * @returns EndGrants instance
             */
            static create(properties: moesaic.v1.EndGrants.$Shape): moesaic.v1.EndGrants & moesaic.v1.EndGrants.$Shape;
            static create(properties?: moesaic.v1.EndGrants.$Properties): moesaic.v1.EndGrants;

            /**
             * Encodes the specified EndGrants message. Does not implicitly {@link moesaic.v1.EndGrants.verify|verify} messages.
             * @param message EndGrants message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.EndGrants.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes an EndGrants message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.EndGrants & moesaic.v1.EndGrants.$Shape} EndGrants
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.EndGrants & moesaic.v1.EndGrants.$Shape;

            /**
             * Creates an EndGrants message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns EndGrants
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.EndGrants;

            /**
             * Creates a plain object from an EndGrants message. Also converts values to other types if specified.
             * @param message EndGrants
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.EndGrants, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this EndGrants to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for EndGrants
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace EndGrants {

            /** Properties of an EndGrants. */
            interface $Properties {

                /** EndGrants epoch */
                epoch?: (number|null);

                /** EndGrants step_id */
                step_id?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of an EndGrants. */
            type $Shape = moesaic.v1.EndGrants.$Properties;
        }

        /**
         * Properties of a NewRowMessage.
         * @deprecated Use moesaic.v1.NewRowMessage.$Properties instead.
         */
        interface INewRowMessage extends moesaic.v1.NewRowMessage.$Properties {
        }

        /** Represents a NewRowMessage. */
        class NewRowMessage {

            /**
             * Constructs a new NewRowMessage.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.NewRowMessage.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** NewRowMessage row. */
            row: number;

            /** NewRowMessage seq_id. */
            seq_id: number;

            /** NewRowMessage num_prompt_tokens. */
            num_prompt_tokens: number;

            /** NewRowMessage sampling. */
            sampling?: (moesaic.v1.RowSamplingMessage.$Properties|null);

            /**
             * Creates a new NewRowMessage instance using the specified properties.
             * @param [properties] Properties to set
             * @returns NewRowMessage instance
             */
            static create(properties: moesaic.v1.NewRowMessage.$Shape): moesaic.v1.NewRowMessage & moesaic.v1.NewRowMessage.$Shape;
            static create(properties?: moesaic.v1.NewRowMessage.$Properties): moesaic.v1.NewRowMessage;

            /**
             * Encodes the specified NewRowMessage message. Does not implicitly {@link moesaic.v1.NewRowMessage.verify|verify} messages.
             * @param message NewRowMessage message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.NewRowMessage.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a NewRowMessage message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.NewRowMessage & moesaic.v1.NewRowMessage.$Shape} NewRowMessage
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.NewRowMessage & moesaic.v1.NewRowMessage.$Shape;

            /**
             * Creates a NewRowMessage message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns NewRowMessage
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.NewRowMessage;

            /**
             * Creates a plain object from a NewRowMessage message. Also converts values to other types if specified.
             * @param message NewRowMessage
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.NewRowMessage, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this NewRowMessage to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for NewRowMessage
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace NewRowMessage {

            /** Properties of a NewRowMessage. */
            interface $Properties {

                /** NewRowMessage row */
                row?: (number|null);

                /** NewRowMessage seq_id */
                seq_id?: (number|null);

                /** NewRowMessage num_prompt_tokens */
                num_prompt_tokens?: (number|null);

                /** NewRowMessage sampling */
                sampling?: (moesaic.v1.RowSamplingMessage.$Properties|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a NewRowMessage. */
            type $Shape = moesaic.v1.NewRowMessage.$Properties;
        }

        /**
         * Properties of a RowSamplingMessage.
         * @deprecated Use moesaic.v1.RowSamplingMessage.$Properties instead.
         */
        interface IRowSamplingMessage extends moesaic.v1.RowSamplingMessage.$Properties {
        }

        /** Represents a RowSamplingMessage. */
        class RowSamplingMessage {

            /**
             * Constructs a new RowSamplingMessage.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.RowSamplingMessage.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** RowSamplingMessage temperature. */
            temperature: number;

            /** RowSamplingMessage top_k. */
            top_k: number;

            /** RowSamplingMessage top_p. */
            top_p: number;

            /** RowSamplingMessage min_p. */
            min_p: number;

            /** RowSamplingMessage presence_penalty. */
            presence_penalty: number;

            /** RowSamplingMessage frequency_penalty. */
            frequency_penalty: number;

            /** RowSamplingMessage repetition_penalty. */
            repetition_penalty: number;

            /** RowSamplingMessage seed. */
            seed: number;

            /** RowSamplingMessage max_seq_len. */
            max_seq_len: number;

            /** RowSamplingMessage min_seq_len. */
            min_seq_len: number;

            /** RowSamplingMessage stop_token_ids. */
            stop_token_ids: number[];

            /** RowSamplingMessage bias_token_ids. */
            bias_token_ids: number[];

            /** RowSamplingMessage bias_values. */
            bias_values: number[];

            /** RowSamplingMessage num_top_logprobs. */
            num_top_logprobs: number;

            /**
             * Creates a new RowSamplingMessage instance using the specified properties.
             * @param [properties] Properties to set
             * @returns RowSamplingMessage instance
             */
            static create(properties: moesaic.v1.RowSamplingMessage.$Shape): moesaic.v1.RowSamplingMessage & moesaic.v1.RowSamplingMessage.$Shape;
            static create(properties?: moesaic.v1.RowSamplingMessage.$Properties): moesaic.v1.RowSamplingMessage;

            /**
             * Encodes the specified RowSamplingMessage message. Does not implicitly {@link moesaic.v1.RowSamplingMessage.verify|verify} messages.
             * @param message RowSamplingMessage message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.RowSamplingMessage.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a RowSamplingMessage message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.RowSamplingMessage & moesaic.v1.RowSamplingMessage.$Shape} RowSamplingMessage
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.RowSamplingMessage & moesaic.v1.RowSamplingMessage.$Shape;

            /**
             * Creates a RowSamplingMessage message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns RowSamplingMessage
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.RowSamplingMessage;

            /**
             * Creates a plain object from a RowSamplingMessage message. Also converts values to other types if specified.
             * @param message RowSamplingMessage
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.RowSamplingMessage, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this RowSamplingMessage to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for RowSamplingMessage
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace RowSamplingMessage {

            /** Properties of a RowSamplingMessage. */
            interface $Properties {

                /** RowSamplingMessage temperature */
                temperature?: (number|null);

                /** RowSamplingMessage top_k */
                top_k?: (number|null);

                /** RowSamplingMessage top_p */
                top_p?: (number|null);

                /** RowSamplingMessage min_p */
                min_p?: (number|null);

                /** RowSamplingMessage presence_penalty */
                presence_penalty?: (number|null);

                /** RowSamplingMessage frequency_penalty */
                frequency_penalty?: (number|null);

                /** RowSamplingMessage repetition_penalty */
                repetition_penalty?: (number|null);

                /** RowSamplingMessage seed */
                seed?: (number|null);

                /** RowSamplingMessage max_seq_len */
                max_seq_len?: (number|null);

                /** RowSamplingMessage min_seq_len */
                min_seq_len?: (number|null);

                /** RowSamplingMessage stop_token_ids */
                stop_token_ids?: (number[]|null);

                /** RowSamplingMessage bias_token_ids */
                bias_token_ids?: (number[]|null);

                /** RowSamplingMessage bias_values */
                bias_values?: (number[]|null);

                /** RowSamplingMessage num_top_logprobs */
                num_top_logprobs?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a RowSamplingMessage. */
            type $Shape = moesaic.v1.RowSamplingMessage.$Properties;
        }

        /**
         * Properties of a StepResultColumns.
         * @deprecated Use moesaic.v1.StepResultColumns.$Properties instead.
         */
        interface IStepResultColumns extends moesaic.v1.StepResultColumns.$Properties {
        }

        /** Represents a StepResultColumns. */
        class StepResultColumns {

            /**
             * Constructs a new StepResultColumns.
             * @param [properties] Properties to set
             */
            constructor(properties?: moesaic.v1.StepResultColumns.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** StepResultColumns epoch. */
            epoch: number;

            /** StepResultColumns step_id. */
            step_id: number;

            /** StepResultColumns seq_rows. */
            seq_rows: Uint8Array;

            /** StepResultColumns token_ids. */
            token_ids: Uint8Array;

            /** StepResultColumns finishes. */
            finishes: Uint8Array;

            /** StepResultColumns logprobs. */
            logprobs: Uint8Array;

            /** StepResultColumns num_top_logprobs. */
            num_top_logprobs: number;

            /** StepResultColumns top_token_ids. */
            top_token_ids: Uint8Array;

            /** StepResultColumns top_logprobs. */
            top_logprobs: Uint8Array;

            /** StepResultColumns logits. */
            logits: Uint8Array;

            /** StepResultColumns engine_us. */
            engine_us: number;

            /** StepResultColumns runs_on. */
            runs_on: boolean;

            /**
             * Creates a new StepResultColumns instance using the specified properties.
             * @param [properties] Properties to set
             * @returns StepResultColumns instance
             */
            static create(properties: moesaic.v1.StepResultColumns.$Shape): moesaic.v1.StepResultColumns & moesaic.v1.StepResultColumns.$Shape;
            static create(properties?: moesaic.v1.StepResultColumns.$Properties): moesaic.v1.StepResultColumns;

            /**
             * Encodes the specified StepResultColumns message. Does not implicitly {@link moesaic.v1.StepResultColumns.verify|verify} messages.
             * @param message StepResultColumns message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: moesaic.v1.StepResultColumns.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a StepResultColumns message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {moesaic.v1.StepResultColumns & moesaic.v1.StepResultColumns.$Shape} StepResultColumns
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): moesaic.v1.StepResultColumns & moesaic.v1.StepResultColumns.$Shape;

            /**
             * Creates a StepResultColumns message from a plain object. Also converts values to their respective internal types.
             * @param object Plain object
             * @returns StepResultColumns
             */
            static fromObject(object: { [k: string]: any }): moesaic.v1.StepResultColumns;

            /**
             * Creates a plain object from a StepResultColumns message. Also converts values to other types if specified.
             * @param message StepResultColumns
             * @param [options] Conversion options
             * @returns Plain object
             */
            static toObject(message: moesaic.v1.StepResultColumns, options?: $protobuf.IConversionOptions): { [k: string]: any };

            /**
             * Converts this StepResultColumns to JSON.
             * @returns JSON object
             */
            toJSON(): { [k: string]: any };

            /**
             * Gets the type url for StepResultColumns
             * @param [prefix] Custom type url prefix, defaults to `"type.googleapis.com"`
             * @returns The type url
             */
            static getTypeUrl(prefix?: string): string;
        }

        namespace StepResultColumns {

            /** Properties of a StepResultColumns. */
            interface $Properties {

                /** StepResultColumns epoch */
                epoch?: (number|null);

                /** StepResultColumns step_id */
                step_id?: (number|null);

                /** StepResultColumns seq_rows */
                seq_rows?: (Uint8Array|null);

                /** StepResultColumns token_ids */
                token_ids?: (Uint8Array|null);

                /** StepResultColumns finishes */
                finishes?: (Uint8Array|null);

                /** StepResultColumns logprobs */
                logprobs?: (Uint8Array|null);

                /** StepResultColumns num_top_logprobs */
                num_top_logprobs?: (number|null);

                /** StepResultColumns top_token_ids */
                top_token_ids?: (Uint8Array|null);

                /** StepResultColumns top_logprobs */
                top_logprobs?: (Uint8Array|null);

                /** StepResultColumns logits */
                logits?: (Uint8Array|null);

                /** StepResultColumns engine_us */
                engine_us?: (number|null);

                /** StepResultColumns runs_on */
                runs_on?: (boolean|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a StepResultColumns. */
            type $Shape = moesaic.v1.StepResultColumns.$Properties;
        }
    }
}
