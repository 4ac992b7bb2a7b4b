/**
 * Stands in the bundle for packages that the transport names but that we never use (grpc for BuildKit sessions, ssh):
 * loading them costs every start about 100 ms.
 */
export class Client {
  constructor() {
    throw new Error('ssh is not part of this build');
  }
}
export default {};
