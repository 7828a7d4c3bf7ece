import protobuf from "protobufjs/minimal.js";

(protobuf.util as { Long: unknown }).Long = undefined;
protobuf.configure();
