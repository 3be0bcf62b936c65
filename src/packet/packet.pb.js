// Generated from packet.proto by `npm run generate`. Do not edit.
import { decodeMessage, encodeMessage, MaxLengthError, message, streamMessage } from 'protons-runtime';
const EMPTY = new Uint8Array(0);
export var Packet;
(function (Packet) {
    let _codec;
    Packet.codec = () => {
        if (_codec == null) {
            _codec = message((obj, w, opts = {}) => {
                if (opts.lengthDelimited !== false) {
                    w.fork();
                }
                if ((obj.wasm != null && obj.wasm.byteLength > 0)) {
                    w.uint32(10);
                    w.bytes(obj.wasm);
                }
                if ((obj.input != null && obj.input.byteLength > 0)) {
                    w.uint32(18);
                    w.bytes(obj.input);
                }
                if ((obj.result != null && obj.result.byteLength > 0)) {
                    w.uint32(26);
                    w.bytes(obj.result);
                }
                if ((obj.cost != null && obj.cost !== 0n)) {
                    w.uint32(32);
                    w.int64(obj.cost);
                }
                if ((obj.kind != null && obj.kind !== '')) {
                    w.uint32(42);
                    w.string(obj.kind);
                }
                if ((obj.id != null && obj.id.byteLength > 0)) {
                    w.uint32(50);
                    w.bytes(obj.id);
                }
                if ((obj.byReference != null && obj.byReference !== 0)) {
                    w.uint32(56);
                    w.uint32(obj.byReference);
                }
                if ((obj.size != null && obj.size !== 0n)) {
                    w.uint32(64);
                    w.uint64(obj.size);
                }
                if ((obj.spec != null && obj.spec.byteLength > 0)) {
                    w.uint32(74);
                    w.bytes(obj.spec);
                }
                if ((obj.files != null && obj.files.byteLength > 0)) {
                    w.uint32(82);
                    w.bytes(obj.files);
                }
                if (obj.records != null && obj.records.length > 0) {
                    for (const value of obj.records) {
                        w.uint32(90);
                        w.bytes(value);
                    }
                }
                if ((obj.code != null && obj.code !== '')) {
                    w.uint32(98);
                    w.string(obj.code);
                }
                if ((obj.text != null && obj.text !== '')) {
                    w.uint32(106);
                    w.string(obj.text);
                }
                if ((obj.body != null && obj.body.byteLength > 0)) {
                    w.uint32(114);
                    w.bytes(obj.body);
                }
                if ((obj.stderr != null && obj.stderr.byteLength > 0)) {
                    w.uint32(122);
                    w.bytes(obj.stderr);
                }
                if ((obj.fresh != null && obj.fresh !== false)) {
                    w.uint32(128);
                    w.bool(obj.fresh);
                }
                if ((obj.state != null && obj.state.byteLength > 0)) {
                    w.uint32(138);
                    w.bytes(obj.state);
                }
                if (opts.lengthDelimited !== false) {
                    w.ldelim();
                }
            }, (reader, length, opts = {}) => {
                const obj = {
                    wasm: EMPTY,
                    input: EMPTY,
                    result: EMPTY,
                    cost: 0n,
                    kind: '',
                    id: EMPTY,
                    byReference: 0,
                    size: 0n,
                    spec: EMPTY,
                    files: EMPTY,
                    records: [],
                    code: '',
                    text: '',
                    body: EMPTY,
                    stderr: EMPTY,
                    fresh: false,
                    state: EMPTY
                };
                const end = length == null ? reader.len : reader.pos + length;
                while (reader.pos < end) {
                    const tag = reader.uint32();
                    switch (tag >>> 3) {
                        case 1: {
                            obj.wasm = reader.bytes();
                            break;
                        }
                        case 2: {
                            obj.input = reader.bytes();
                            break;
                        }
                        case 3: {
                            obj.result = reader.bytes();
                            break;
                        }
                        case 4: {
                            obj.cost = reader.int64();
                            break;
                        }
                        case 5: {
                            obj.kind = reader.string();
                            break;
                        }
                        case 6: {
                            obj.id = reader.bytes();
                            break;
                        }
                        case 7: {
                            obj.byReference = reader.uint32();
                            break;
                        }
                        case 8: {
                            obj.size = reader.uint64();
                            break;
                        }
                        case 9: {
                            obj.spec = reader.bytes();
                            break;
                        }
                        case 10: {
                            obj.files = reader.bytes();
                            break;
                        }
                        case 11: {
                            if (opts.limits?.records != null && obj.records.length === opts.limits.records) {
                                throw new MaxLengthError('Decode error - repeated field "records" had too many elements');
                            }
                            obj.records.push(reader.bytes());
                            break;
                        }
                        case 12: {
                            obj.code = reader.string();
                            break;
                        }
                        case 13: {
                            obj.text = reader.string();
                            break;
                        }
                        case 14: {
                            obj.body = reader.bytes();
                            break;
                        }
                        case 15: {
                            obj.stderr = reader.bytes();
                            break;
                        }
                        case 16: {
                            obj.fresh = reader.bool();
                            break;
                        }
                        case 17: {
                            obj.state = reader.bytes();
                            break;
                        }
                        default: {
                            reader.skipType(tag & 7);
                            break;
                        }
                    }
                }
                return obj;
            }, function* (reader, length, prefix, opts = {}) {
                const obj = {
                    records: 0
                };
                const end = length == null ? reader.len : reader.pos + length;
                while (reader.pos < end) {
                    const tag = reader.uint32();
                    switch (tag >>> 3) {
                        case 1: {
                            yield {
                                field: `${prefix}.wasm`,
                                value: reader.bytes()
                            };
                            break;
                        }
                        case 2: {
                            yield {
                                field: `${prefix}.input`,
                                value: reader.bytes()
                            };
                            break;
                        }
                        case 3: {
                            yield {
                                field: `${prefix}.result`,
                                value: reader.bytes()
                            };
                            break;
                        }
                        case 4: {
                            yield {
                                field: `${prefix}.cost`,
                                value: reader.int64()
                            };
                            break;
                        }
                        case 5: {
                            yield {
                                field: `${prefix}.kind`,
                                value: reader.string()
                            };
                            break;
                        }
                        case 6: {
                            yield {
                                field: `${prefix}.id`,
                                value: reader.bytes()
                            };
                            break;
                        }
                        case 7: {
                            yield {
                                field: `${prefix}.byReference`,
                                value: reader.uint32()
                            };
                            break;
                        }
                        case 8: {
                            yield {
                                field: `${prefix}.size`,
                                value: reader.uint64()
                            };
                            break;
                        }
                        case 9: {
                            yield {
                                field: `${prefix}.spec`,
                                value: reader.bytes()
                            };
                            break;
                        }
                        case 10: {
                            yield {
                                field: `${prefix}.files`,
                                value: reader.bytes()
                            };
                            break;
                        }
                        case 11: {
                            if (opts.limits?.records != null && obj.records === opts.limits.records) {
                                throw new MaxLengthError('Streaming decode error - repeated field "records" had too many elements');
                            }
                            yield {
                                field: `${prefix}.records[]`,
                                index: obj.records,
                                value: reader.bytes()
                            };
                            obj.records++;
                            break;
                        }
                        case 12: {
                            yield {
                                field: `${prefix}.code`,
                                value: reader.string()
                            };
                            break;
                        }
                        case 13: {
                            yield {
                                field: `${prefix}.text`,
                                value: reader.string()
                            };
                            break;
                        }
                        case 14: {
                            yield {
                                field: `${prefix}.body`,
                                value: reader.bytes()
                            };
                            break;
                        }
                        case 15: {
                            yield {
                                field: `${prefix}.stderr`,
                                value: reader.bytes()
                            };
                            break;
                        }
                        case 16: {
                            yield {
                                field: `${prefix}.fresh`,
                                value: reader.bool()
                            };
                            break;
                        }
                        case 17: {
                            yield {
                                field: `${prefix}.state`,
                                value: reader.bytes()
                            };
                            break;
                        }
                        default: {
                            reader.skipType(tag & 7);
                            break;
                        }
                    }
                }
            });
        }
        return _codec;
    };
    function encode(obj) {
        return encodeMessage(obj, Packet.codec());
    }
    Packet.encode = encode;
    function decode(buf, opts) {
        return decodeMessage(buf, Packet.codec(), opts);
    }
    Packet.decode = decode;
    function stream(buf, opts) {
        return streamMessage(buf, Packet.codec(), opts);
    }
    Packet.stream = stream;
})(Packet || (Packet = {}));
