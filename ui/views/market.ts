/** What work costs: this node's own prices, and the offers of those it is connected with. */
import { h, type ComponentChildren } from 'preact'
import { count, credits, Facts, id, Table, useFresh } from '../parts.ts'
import { shown } from '../state.ts'

export function Market (): ComponentChildren {
  useFresh('trade', 'peers')
  const trade = shown('trade')
  const offers = (shown('peers') ?? []).flatMap(peer => peer.offer === null ? [] : [{ ...peer, offer: peer.offer }])
  return h('div', null,
    trade === null ? null : h('section', null, h('h2', null, trade.serving ? 'What this node takes' : 'What this node would take, if it served'),
      h(Facts, { of: { ...Object.fromEntries(Object.entries(trade.prices).map(([name, price]) => [name, `${credits(price)}${trade.fixed.includes(name as never) ? ', set by its owner' : ''}`])), Slots: count(trade.slots), 'Load of late': `${trade.loadPercent} %`, 'Share of the CPU': `${trade.cpuPercent} %`, Buyers: trade.buyers === null ? 'anyone' : `${trade.buyers.length} named` } })),
    h('section', null, h(Table<typeof offers[number]>, {
      caption: 'Offers of peers', rows: offers.sort((one, other) => Number(BigInt(one.offer.perMFuel) - BigInt(other.offer.perMFuel))), keyOf: peer => peer.id, empty: 'No peer offers work here. Connect to one in Mesh.',
      columns: [
        { name: 'Peer', of: peer => id(peer.id) }, { name: 'Per million fuel', kind: 'number', of: peer => credits(peer.offer.perMFuel) }, { name: 'Fuel a second', kind: 'number', of: peer => count(peer.offer.fuelPerSec) }, { name: 'Idle', kind: 'number', of: peer => `${peer.offer.idle} of ${peer.offer.slots}` },
        { name: 'Profile', of: peer => peer.offer.profile }, { name: 'Right answers', kind: 'number', of: peer => peer.history?.ok.toFixed(1) ?? '–' }, { name: 'Lost', kind: 'number', of: peer => peer.history?.lost.toFixed(1) ?? '–' }, { name: 'Wrong', kind: 'number', of: peer => peer.history?.wrong.toFixed(1) ?? '–' }
      ]
    })))
}
