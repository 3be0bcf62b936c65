// Generated from packet.proto by `npm run generate`. Do not edit.
import type { Codec, DecodeOptions } from 'protons-runtime';
import type { Uint8ArrayList } from 'uint8arraylist';
export interface Packet {
    wasm: Uint8Array<ArrayBuffer>;
    input: Uint8Array<ArrayBuffer>;
    result: Uint8Array<ArrayBuffer>;
    cost: bigint;
    kind: string;
    id: Uint8Array<ArrayBuffer>;
    byReference: number;
    size: bigint;
    spec: Uint8Array<ArrayBuffer>;
    files: Uint8Array<ArrayBuffer>;
    records: Uint8Array<ArrayBuffer>[];
    code: string;
    text: string;
    body: Uint8Array<ArrayBuffer>;
    stderr: Uint8Array<ArrayBuffer>;
    fresh: boolean;
    state: Uint8Array<ArrayBuffer>;
}
export declare namespace Packet {
    const codec: () => Codec<Packet>;
    interface PacketWasmFieldEvent {
        field: '$.wasm';
        value: Uint8Array<ArrayBuffer>;
    }
    interface PacketInputFieldEvent {
        field: '$.input';
        value: Uint8Array<ArrayBuffer>;
    }
    interface PacketResultFieldEvent {
        field: '$.result';
        value: Uint8Array<ArrayBuffer>;
    }
    interface PacketCostFieldEvent {
        field: '$.cost';
        value: bigint;
    }
    interface PacketKindFieldEvent {
        field: '$.kind';
        value: string;
    }
    interface PacketIdFieldEvent {
        field: '$.id';
        value: Uint8Array<ArrayBuffer>;
    }
    interface PacketByReferenceFieldEvent {
        field: '$.byReference';
        value: number;
    }
    interface PacketSizeFieldEvent {
        field: '$.size';
        value: bigint;
    }
    interface PacketSpecFieldEvent {
        field: '$.spec';
        value: Uint8Array<ArrayBuffer>;
    }
    interface PacketFilesFieldEvent {
        field: '$.files';
        value: Uint8Array<ArrayBuffer>;
    }
    interface PacketRecordsFieldEvent {
        field: '$.records[]';
        index: number;
        value: Uint8Array<ArrayBuffer>;
    }
    interface PacketCodeFieldEvent {
        field: '$.code';
        value: string;
    }
    interface PacketTextFieldEvent {
        field: '$.text';
        value: string;
    }
    interface PacketBodyFieldEvent {
        field: '$.body';
        value: Uint8Array<ArrayBuffer>;
    }
    interface PacketStderrFieldEvent {
        field: '$.stderr';
        value: Uint8Array<ArrayBuffer>;
    }
    interface PacketFreshFieldEvent {
        field: '$.fresh';
        value: boolean;
    }
    interface PacketStateFieldEvent {
        field: '$.state';
        value: Uint8Array<ArrayBuffer>;
    }
    function encode(obj: Partial<Packet>): Uint8Array<ArrayBuffer>;
    function decode(buf: Uint8Array | Uint8ArrayList, opts?: DecodeOptions<Packet>): Packet;
    function stream(buf: Uint8Array | Uint8ArrayList, opts?: DecodeOptions<Packet>): Generator<PacketWasmFieldEvent | PacketInputFieldEvent | PacketResultFieldEvent | PacketCostFieldEvent | PacketKindFieldEvent | PacketIdFieldEvent | PacketByReferenceFieldEvent | PacketSizeFieldEvent | PacketSpecFieldEvent | PacketFilesFieldEvent | PacketRecordsFieldEvent | PacketCodeFieldEvent | PacketTextFieldEvent | PacketBodyFieldEvent | PacketStderrFieldEvent | PacketFreshFieldEvent | PacketStateFieldEvent>;
}
