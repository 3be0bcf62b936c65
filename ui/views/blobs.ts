/** Bytes by name that lie on this node. */
import { h, type ComponentChildren } from 'preact'
import { Button, bytes, id, Table, useFresh } from '../parts.ts'
import { act, shown } from '../state.ts'

export function Blobs (): ComponentChildren {
  useFresh('blobs', 'blobUsage')
  const rows = shown('blobs') ?? []
  const usage = shown('blobUsage')
  return h('section', null,
    usage === null ? null : h('p', null, `${bytes(usage.bytes)} of ${bytes(usage.bytesMax)} used, ${bytes(usage.givenBytes)} given to others. `, h(Button, { does: () => act('collectBlobs') }, 'Remove all that nobody pinned')),
    h(Table<typeof rows[number]>, {
      caption: 'Blobs of this node', rows, keyOf: blob => blob.cid, empty: 'No blobs here: inos blob put FILE',
      columns: [
        { name: 'Blob', of: blob => id(blob.cid) }, { name: 'Size', kind: 'number', of: blob => bytes(blob.size) }, { name: 'Here', kind: 'number', of: blob => bytes(blob.here) }, { name: 'For', of: blob => blob.shared ? 'anyone who names it' : 'jobs only' },
        { name: 'Do', of: blob => h('span', { class: 'row' }, h(Button, { does: () => act(blob.pinned ? 'unpinBlob' : 'pinBlob', blob.cid), label: `${blob.pinned ? 'Unpin' : 'Pin'} ${blob.cid}` }, blob.pinned ? 'Unpin' : 'Pin'), h(Button, { does: () => act('removeBlob', blob.cid), label: `Remove ${blob.cid}` }, 'Remove')) }
      ]
    }))
}
