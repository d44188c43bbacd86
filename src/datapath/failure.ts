/** Something that could not be made real; it is tried again. */
export interface Failure {
  object: string;
  message: string;
}
