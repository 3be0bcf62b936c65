/** HTTP/3's codes for the end of a connection or stream (RFC 9114, section 8.1). */
export const H3 = { noError: 0x100, streamCreation: 0x103, closedCritical: 0x104, frameUnexpected: 0x105, excessiveLoad: 0x107, missingSettings: 0x10a, rejected: 0x10b, messageError: 0x10e } as const
