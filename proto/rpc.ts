/**
 * Generated protobufjs services as @grpc/grpc-js services, fully typed: the generated classes say each method's path,
 * message types and direction of streaming both as values and as literal types.
 */
import * as grpc from "@grpc/grpc-js";
import { v1 } from "./messages.js";

export interface MethodInfo {
  readonly path: string;
  readonly requestType: string;
  readonly responseType: string;
  readonly requestStream: true | undefined;
  readonly responseStream: true | undefined;
}

type Messages = typeof v1;
/** What may be passed for a message, by its name. */
type Input<N> = N extends keyof Messages
  ? Messages[N] extends { encode(message: infer M, ...rest: never[]): unknown }
    ? M
    : never
  : never;
/** What decoding yields. */
type Output<N> = N extends keyof Messages
  ? Messages[N] extends { decode(...args: never[]): infer M }
    ? M
    : never
  : never;

/** What a handler of the method gets, and what it answers. */
export type RequestOf<M extends MethodInfo> = Output<M["requestType"]>;
export type ResponseOf<M extends MethodInfo> = Input<M["responseType"]>;

export type MethodNames<S> = { [K in keyof S]: S[K] extends MethodInfo ? K : never }[keyof S] & string;

/** A client's methods: a promise for unary calls, the gRPC stream for the others. Errors are gRPC's: see grpc-status.ts. */
export type Client<S> = {
  [K in MethodNames<S>]: S[K] extends MethodInfo ? ClientMethod<S[K]> : never;
};

type ClientMethod<M extends MethodInfo> = M["requestStream"] extends true
  ? (
      options?: grpc.CallOptions,
      metadata?: grpc.Metadata,
    ) => grpc.ClientDuplexStream<Input<M["requestType"]>, Output<M["responseType"]>>
  : M["responseStream"] extends true
    ? (
        request: Input<M["requestType"]>,
        options?: grpc.CallOptions,
        metadata?: grpc.Metadata,
      ) => grpc.ClientReadableStream<Output<M["responseType"]>>
    : (
        request: Input<M["requestType"]>,
        options?: grpc.CallOptions,
        metadata?: grpc.Metadata,
      ) => Promise<Output<M["responseType"]>>;

export type ServiceClass<S> = { readonly prototype: S };

/** The definition that grpc.Server.addService wants. */
export function serviceDefinition<S>(service: ServiceClass<S>): grpc.ServiceDefinition {
  const methods = methodsOf(service).map(([name, info]) => [name, methodDefinition(info)] as const);
  return Object.fromEntries(methods);
}

/** A typed client on a channel of the caller's, who closes it. */
export function createClient<S>(service: ServiceClass<S>, channel: grpc.Client): Client<S> {
  const methods = methodsOf(service).map(([name, info]) => [name, clientMethod(channel, info)] as const);
  return Object.fromEntries(methods) as Client<S>;
}

function methodsOf(service: ServiceClass<unknown>): [string, MethodInfo][] {
  return Object.entries(service.prototype as Record<string, unknown>).filter(
    (entry): entry is [string, MethodInfo] => typeof entry[1] === "function" && "path" in entry[1],
  );
}

interface Codec {
  encode(message: object): { finish(): Uint8Array };
  decode(bytes: Uint8Array): object;
}

function methodDefinition(info: MethodInfo): grpc.MethodDefinition<object, object> {
  const request = codec(info.requestType);
  const response = codec(info.responseType);
  return {
    path: info.path,
    requestStream: info.requestStream === true,
    responseStream: info.responseStream === true,
    requestSerialize: request.serialize,
    requestDeserialize: request.deserialize,
    responseSerialize: response.serialize,
    responseDeserialize: response.deserialize,
  };
}

function codec(type: string) {
  const message = (v1 as unknown as Record<string, Codec>)[type]!;
  return {
    serialize: (value: object) => asBuffer(message.encode(value).finish()),
    deserialize: (bytes: Buffer) => message.decode(bytes),
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function clientMethod(channel: grpc.Client, info: MethodInfo): unknown {
  const { path, requestStream, responseStream, requestSerialize, responseDeserialize } = methodDefinition(info);
  if (requestStream) {
    return (options: grpc.CallOptions = {}, metadata = new grpc.Metadata()) =>
      channel.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata, options);
  }
  if (responseStream) {
    return (request: object, options: grpc.CallOptions = {}, metadata = new grpc.Metadata()) =>
      channel.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, metadata, options);
  }
  return (request: object, options: grpc.CallOptions = {}, metadata = new grpc.Metadata()) =>
    new Promise((resolve, reject) => {
      channel.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        options,
        (error, value) => (error ? reject(error) : resolve(value)),
      );
    });
}
