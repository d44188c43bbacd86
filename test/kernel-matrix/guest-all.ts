/**
 * Runs inside the test machine, which takes longer to boot than most of this takes. The lab is first, because it must
 * leave nothing behind.
 */
import "./guest-lab.ts";
import "./guest-impair.ts";
import "./kernel-guest.ts";
import "./guest.ts";
