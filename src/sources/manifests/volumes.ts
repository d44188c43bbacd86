import * as z from "zod";
import { checkConfigKey, checkLabelName, checkSubdomain } from "../../model/names.ts";
import type { Volume } from "../../model/objects.ts";
import { checked, listOf, maybe, plainText } from "./fields.ts";

const inside = (path: string): boolean => path !== "" && !path.startsWith("/") && !path.split("/").includes("..");
const relative = plainText.refine(inside, 'must be a path below the volume, without ".."');

export const volumeMount = z
  .object({
    name: checked(checkLabelName),
    mountPath: plainText.refine(
      (path) => /^\/[^:]+$/.test(path) && !path.split("/").includes(".."),
      'must be an absolute path without ":" and ".."',
    ),
    subPath: maybe(z.union([z.literal(""), relative])),
    readOnly: maybe(z.boolean()),
  })
  .transform(({ subPath, readOnly, ...rest }) => ({
    ...rest,
    ...(subPath && { subPath }),
    readOnly: readOnly ?? false,
  }));

const error = "must be a mode from 0 to 0777, such as 0755";
const mode = maybe(z.number({ error }).int({ error }).min(0, { error }).max(0o777, { error }));
const items = listOf(
  z
    .object({ key: checked(checkConfigKey), path: relative, mode })
    .transform(({ mode: own, ...rest }) => ({ ...rest, ...(own !== undefined && { mode: own }) })),
);
const configMap = z.object({ name: checked(checkSubdomain), optional: maybe(z.boolean()), items, defaultMode: mode });

/** A volume. `configMap` and `emptyDir` are read; of others only their kind. */
export const volume = z
  .looseObject({ name: checked(checkLabelName), configMap: maybe(configMap), emptyDir: maybe(z.looseObject({})) })
  .transform(({ name, configMap: map, emptyDir, ...rest }): Volume => {
    if (map) {
      const { name: of, optional = false, items: chosen, defaultMode } = map;
      return {
        ...{ name, kind: "configMap", configMap: of, optional },
        ...(chosen.length > 0 && { items: chosen }),
        ...(defaultMode !== undefined && { defaultMode }),
      };
    }
    const [source] = Object.keys(rest);
    // as in Kubernetes, a volume without a source is an empty directory
    return emptyDir || source === undefined ? { name, kind: "emptyDir" } : { name, kind: "other", source };
  });
