/**
 * dockerfile: text to instructions. Pure: reads no file, knows no image; refuses to run anything. Variables stay
 * unexpanded in the instructions, since their values are known only while building.
 */
export { expandText, expandWord, type Lookup } from './expand.ts';
export type {
  Command,
  CopyInstruction,
  Dockerfile,
  HealthcheckInstruction,
  Instruction,
  InstructionBody,
  KeyValue,
  Stage,
} from './instructions.ts';
export { dockerfileError, type Heredoc } from './lex.ts';
export { parseDockerfile, parseSingleInstruction, placeOf } from './parse.ts';
