/** The dashboard as a node serves it: the frame over the local API. */
import { h, render } from 'preact'
import { Frame } from './frame.ts'
import { overHttp, takeToken } from './over-http.ts'
import { begin } from './state.ts'

takeToken()
begin(overHttp)
render(h(Frame, null), document.body)
