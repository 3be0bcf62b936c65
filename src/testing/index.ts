/** The door of the test kit: everything a program imports from `inos/testing`. */
export { createTestMesh } from './mesh.ts'
export type { NodeOptions, TestMesh, TestMeshOptions, TestNode, Weather } from './options.ts'
