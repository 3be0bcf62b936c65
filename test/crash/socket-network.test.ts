/** The network of the kill campaign keeps the contract of every network, so what it shows holds for libp2p's place. */
import { test } from 'node:test'
import { suite } from '../suites/network.ts'
import { createSocketNetwork } from './socket-network.ts'

let count = 0
suite({
  name: 'sockets',
  test,
  factory: () => createSocketNetwork(`node-${count++}`),
  nowhere: '/ip4/127.0.0.1/tcp/1',
  nobody: 'nobody',
  // The kernel's buffers of both ends lie between.
  windowBytesMax: 16 * 1024 * 1024,
  discovers: false
})
