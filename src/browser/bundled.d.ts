/** What the build puts in: the bundle of `executor.ts` as text. */
declare module 'inos:executor' {
  const script: string
  export default script
}
