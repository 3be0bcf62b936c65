/**
 * The tracer: a guest of the `inos` interface that draws one tile of a picture. What a pixel shows
 * depends on seed, size and place alone, so any cut into tiles on any node gives the same picture.
 *
 * Input: eight little-endian u32: width, height, x, y, tile width, tile height, seed, samples per
 * pixel as the side of a square. Result: RGB bytes of the tile, row by row. Exit code 1 for an
 * input that is not that.
 */
import { input_read, input_size, output_write } from './inos'
import { begin, next, spread } from './random'
import { blue, green, red, trace } from './ray'
import { azimuth, build } from './scene'

const INPUT_BYTES: i32 = 32
const SIDE_MAX: u32 = 16384
const SAMPLES_MAX: u32 = 16
/** Distance and height of the camera, and half the width of what it sees at distance 1. */
const CAMERA_DISTANCE: f64 = 10.5
const CAMERA_HEIGHT: f64 = 2.5
const TARGET_HEIGHT: f64 = 0.8
const HALF_WIDTH: f64 = 0.43
/** Radius of the lens: what lies far before or behind the great marble is blurred a little. */
const LENS: f64 = 0.03

/** The camera: where it stands, and its right, up and forward unit vectors. */
let eyeX: f64 = 0.0
let eyeZ: f64 = 0.0
let rightX: f64 = 0.0
let rightZ: f64 = 0.0
let upX: f64 = 0.0
let upY: f64 = 0.0
let upZ: f64 = 0.0
let forwardX: f64 = 0.0
let forwardY: f64 = 0.0
let forwardZ: f64 = 0.0
let focus: f64 = 0.0

export function run (): i32 {
  const input = heap.alloc(INPUT_BYTES)
  if (input_size() !== INPUT_BYTES || input_read(input, 0, INPUT_BYTES) !== INPUT_BYTES) return 1
  const width = load<u32>(input)
  const height = load<u32>(input, 4)
  const left = load<u32>(input, 8)
  const top = load<u32>(input, 12)
  const across = load<u32>(input, 16)
  const down = load<u32>(input, 20)
  const seed = load<u32>(input, 24)
  const side = load<u32>(input, 28)
  if (width === 0 || height === 0 || width > SIDE_MAX || height > SIDE_MAX || side === 0 || side > SAMPLES_MAX) return 1
  if (across === 0 || down === 0 || left >= width || across > width - left || top >= height || down > height - top) return 1

  build(seed)
  aim()
  const row = heap.alloc(across * 3)
  for (let y = top; y < top + down; y++) {
    for (let x: u32 = 0; x < across; x++) {
      drawPixel(row + x * 3, width, height, left + x, y, seed, side)
    }
    if (output_write(row, across * 3) < 0) return 2
  }
  return 0
}

/** Set the camera up, looking at the great marble. */
function aim (): void {
  eyeX = NativeMath.sin(azimuth + Math.PI) * CAMERA_DISTANCE
  eyeZ = NativeMath.cos(azimuth + Math.PI) * CAMERA_DISTANCE
  const fall = TARGET_HEIGHT - CAMERA_HEIGHT
  focus = Math.sqrt(CAMERA_DISTANCE * CAMERA_DISTANCE + fall * fall)
  forwardX = -eyeX / focus
  forwardY = fall / focus
  forwardZ = -eyeZ / focus
  const flat = Math.sqrt(forwardX * forwardX + forwardZ * forwardZ)
  rightX = forwardZ / flat
  rightZ = -forwardX / flat
  upX = -forwardY * rightZ
  upY = forwardX * rightZ - forwardZ * rightX
  upZ = forwardY * rightX
  if (upY < 0.0) {
    upX = -upX
    upY = -upY
    upZ = -upZ
  }
  // The front of the great marble is sharp.
  focus -= 1.0
}

/** Average the samples of a pixel, one in each cell of a square, and store three bytes. */
function drawPixel (pointer: usize, width: u32, height: u32, x: u32, y: u32, seed: u32, side: u32): void {
  begin(seed, x + 1, y + 1)
  let sumRed = 0.0
  let sumGreen = 0.0
  let sumBlue = 0.0
  const step = 1.0 / f64(side)
  for (let j: u32 = 0; j < side; j++) {
    for (let i: u32 = 0; i < side; i++) {
      const px = f64(x) + (f64(i) + next()) * step
      const py = f64(y) + (f64(j) + next()) * step
      spread()
      shoot((2.0 * px - f64(width)) / f64(width) * HALF_WIDTH, (f64(height) - 2.0 * py) / f64(width) * HALF_WIDTH)
      // One blinding sample must not make a speck of a whole pixel.
      sumRed += Math.min(red, 4.0)
      sumGreen += Math.min(green, 4.0)
      sumBlue += Math.min(blue, 4.0)
    }
  }
  const share = step * step
  store<u8>(pointer, develop(sumRed * share))
  store<u8>(pointer, develop(sumGreen * share), 1)
  store<u8>(pointer, develop(sumBlue * share), 2)
}

/** Trace one ray through a point of the lens and a point of the plane in focus. */
function shoot (u: f64, v: f64): void {
  const lensU = LENS * (2.0 * next() - 1.0)
  const lensV = LENS * (2.0 * next() - 1.0)
  const sideways = u - lensU / focus
  const upwards = v - lensV / focus
  const x = forwardX + rightX * sideways + upX * upwards
  const y = forwardY + upY * upwards
  const z = forwardZ + rightZ * sideways + upZ * upwards
  const length = Math.sqrt(x * x + y * y + z * z)
  trace(eyeX + rightX * lensU + upX * lensV, CAMERA_HEIGHT + upY * lensV, eyeZ + rightZ * lensU + upZ * lensV, x / length, y / length, z / length)
}

/** From light to a byte: a filmic curve (Narkowicz's fit of ACES), then a gamma of 2. */
function develop (light: f64): u8 {
  const exposed = 0.8 * light
  const curve = exposed * (2.51 * exposed + 0.03) / (exposed * (2.43 * exposed + 0.59) + 0.14)
  return u8(Math.min(Math.sqrt(curve), 1.0) * 255.0 + 0.5)
}
