/** Types of `/static/zis-client.js`. The documents are described in full by `/openapi.json`. */

export interface JobSpec {
  name: string;
  qualified_name: string;
  integration: string;
  description: string | null;
  event_source: string | null;
  event_type: string | null;
  flow_name: string | null;
  installed: boolean;
  uuid: string | null;
  left_over: boolean | null;
}

export interface IntegrationList {
  name: string;
  /** RFC 3339; null: never. */
  fetched_at: string | null;
  stale: boolean;
  error: {
    code: string;
    title: string;
    detail: string;
    upstream_status: number | null;
    upstream_detail: string | null;
    retry_after: number | null;
  } | null;
}

export interface JobSpecList {
  job_specs: JobSpec[];
  integrations: IntegrationList[];
  /** Seconds since Zendesk was asked; null: not told. */
  age: number | null;
  request_id: string | null;
}

export interface Status {
  account: string;
  user: { id: number | null; role: string | null; can_manage: boolean; reason: string | null };
  connection: {
    state: "connected" | "not_connected" | "reauthorization_required";
    reason: string | null;
    authorized_at: string | null;
    authorized_by: { id: number; name: string | null } | null;
    scope: string | null;
    access_token_expires_at: string | null;
    refresh_token_expires_at: string | null;
  };
  integrations: { name: string; state: string; detail: string | null }[];
  authorize_url: string | null;
}

export interface ActivityEntry {
  at: string;
  action: string;
  actor: { id: number | null; name: string | null } | "operator";
  integration: string | null;
  job_spec: string | null;
  result: string;
  installation_id: number | null;
  request_id: string | null;
  count: number;
  items: string[] | null;
}

/** What should be installed and what not, by integration, in short names; what is not named is left as it is. */
export interface DesiredState {
  account?: string;
  integrations: Record<string, { installed?: string[]; uninstalled?: string[] }>;
}

export interface Plan {
  changes: {
    integration: string;
    name: string;
    change: "install" | "uninstall" | "rearm" | "none" | "not_listed" | "not_named";
    /** null: nothing was tried; `ok`, or a code. */
    result: string | null;
    detail: string | null;
  }[];
  /** Changes that are still to be made; the same call goes on with them. */
  left: number;
  /** Seconds to wait before it; null: nothing is left. */
  retry_after: number | null;
  request_id: string | null;
}

/** A problem document as the API sends it (RFC 9457), under its names. */
export interface ProblemDocument {
  code: string;
  title?: string | null;
  detail?: string | null;
  status?: number | null;
  request_id?: string | null;
  retry_after?: number | null;
  authorize_url?: string | null;
  upstream_detail?: string | null;
  upstream_status?: number | null;
}

/** What went wrong; branch on `code`. */
export class ZISProblem extends Error {
  constructor(members: ProblemDocument);
  /** The API's codes; and `network`, `unreadable_answer`, `popup_blocked`, `sign_in_unfinished`, which this client makes. */
  readonly code: string;
  readonly title: string | null;
  readonly detail: string | null;
  readonly status: number | null;
  readonly requestId: string | null;
  /** Seconds. */
  readonly retryAfter: number | null;
  readonly authorizeUrl: string | null;
  readonly upstreamDetail: string | null;
  readonly upstreamStatus: number | null;
  readonly at: Date;
}

export interface ClientOptions {
  sessionToken: string;
  /** Seconds; preferred, for it needs no right clock. */
  expiresIn?: number;
  /** RFC 3339; only looked at without `expiresIn`. */
  expiresAt?: string;
  /** `/api/v1` unless given; of another origin `https://zis.example.com/api/v1`. */
  apiBase?: string;
  onSessionExpired?: (problem: ZISProblem) => void;
}

export interface SignInOptions {
  /** The service's address, as in its `PUBLIC_URL`. */
  service: string;
  /** `acme` for acme.zendesk.com. */
  subdomain: string;
  /** Ends the wait. */
  signal?: AbortSignal;
  onSessionExpired?: (problem: ZISProblem) => void;
}

/** Calls `/api/v1` in the name of one person. */
export class ZISClient {
  /** Signs a person in with Zendesk, in a popup. To be called in the click itself. */
  static signIn(options: SignInOptions): Promise<ZISClient>;
  constructor(options: ClientOptions);
  status(): Promise<Status>;
  jobSpecs(options?: { integration?: string; installed?: boolean; fresh?: boolean }): Promise<JobSpecList>;
  install(name: string, integration?: string): Promise<{ job_spec: JobSpec; verified: boolean }>;
  uninstall(name: string, integration?: string): Promise<{ job_spec: JobSpec; verified: boolean }>;
  plan(document: DesiredState, options?: { rearm?: boolean }): Promise<Plan>;
  apply(document: DesiredState, options?: { rearm?: boolean }): Promise<Plan>;
  disconnect(options?: { uninstall?: boolean }): Promise<{ revoked: boolean }>;
  activity(limit?: number): Promise<{ activity: ActivityEntry[] }>;
}
