/** What zis-client.d.ts declares is what zis-client.js has. Checked by `make check`; nobody runs it. */

import type * as declared from "../service/static/zis-client.d.ts";
import * as client from "../service/static/zis-client.js";

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;

export const offered: { ZISClient: typeof declared.ZISClient; ZISProblem: typeof declared.ZISProblem } = client;
export const clientHasTheSameMembers: Same<keyof client.ZISClient, keyof declared.ZISClient> = true;
export const problemHasTheSameMembers: Same<keyof client.ZISProblem, keyof declared.ZISProblem> = true;
