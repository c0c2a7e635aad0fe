/** What comes from outside with a request, parsed once. */
import { z } from 'zod'
import { oneLine } from '../wording.ts'

/** Ids are hashes; what looks otherwise cannot be one, and some of it (U+0000) the database would not even take as a question. */
const idSchema = z.string().regex(/^[\w.:-]{1,64}$/)
const actSchema = z.object(
  { by: z.string('by must be a string').max(400, 'by must be 400 characters or less').optional() },
  'the body must be an object',
)
const longestName = 80

export function parseId(text: string): string | undefined {
  return idSchema.safeParse(text).data
}

/** Who acts: as the request says, else the visitor, else somebody. A string is what is wrong with the body. */
export function parseAct(body: unknown, visitor: string): { readonly by: string } | string {
  const said = actSchema.safeParse(body ?? {})
  if (!said.success) return said.error.issues.map(({ message }) => message).join('; ')
  return { by: oneLine(said.data.by ?? '', longestName) || oneLine(visitor, longestName) || 'Somebody' }
}
