/** What keeps a command from network and file system, as far as this machine has it. */

export interface SandboxWish {
  /** Whether the command may use the network. */
  readonly network: boolean;
  /** Refuse to run where a protection is missing; otherwise `meta.json` says which one was. */
  readonly required?: boolean;
}

export interface Protection {
  readonly by: 'bubblewrap' | 'unshare' | 'none';
  /** What was asked for and could not be had. */
  readonly missing: readonly ('no_network' | 'read_only_root' | 'limits')[];
}
