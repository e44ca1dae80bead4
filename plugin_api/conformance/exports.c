/* exports -- see exports.h. Offsets are the file's word: each is followed inside a view only. */
#include "exports.h"

#include <link.h>

/* What lies at the offset, of the size. */
static bool at(const void *bytes, size_t len, uint64_t offset, void *to, size_t size)
{
    view v = view_of(bytes, len);

    return offset <= len && view_skip(&v, (size_t)offset, NULL) && view_read(&v, to, size);
}

static bool section_at(const void *bytes, size_t len, const ElfW(Ehdr) * eh, uint32_t i,
                       ElfW(Shdr) * out)
{
    return i < eh->e_shnum && eh->e_shentsize >= sizeof *out &&
           at(bytes, len, eh->e_shoff + (uint64_t)i * eh->e_shentsize, out, sizeof *out);
}

/* The name, or NULL when it is not wholly inside the file. */
static const char *name_at(const void *bytes, size_t len, const ElfW(Shdr) * names,
                           uint32_t at_name)
{
    uint64_t offset = names->sh_offset + at_name;

    if (offset < at_name || offset >= len)
        return NULL;
    return memchr((const char *)bytes + offset, '\0', len - (size_t)offset) != NULL
               ? (const char *)bytes + offset
               : NULL;
}

static bool is_expected(const char *name)
{
    return strcmp(name, "broker_plugin") == 0 ||
           strncmp(name, "__odr_asan", 10) == 0; /* a sanitizer's own */
}

static void table_read(const void *bytes, size_t len, const ElfW(Shdr) * table,
                       const ElfW(Shdr) * names, sb *out)
{
    ElfW(Sym) sym;

    for (uint64_t i = 0; i < table->sh_size / sizeof sym; i++) {
        const char *name;

        if (!at(bytes, len, table->sh_offset + i * sizeof sym, &sym, sizeof sym))
            return;
        name = sym.st_shndx != SHN_UNDEF ? name_at(bytes, len, names, sym.st_name) : NULL;
        if (name != NULL && !is_expected(name))
            sb_printf(out, "%s'%s'", out->len != 0 ? ", " : "", name);
    }
}

void exports_find(const void *bytes, size_t len, sb *out)
{
    ElfW(Ehdr) eh;
    ElfW(Shdr) table, names;

    if (!at(bytes, len, 0, &eh, sizeof eh))
        return;
    for (uint32_t i = 0; i < eh.e_shnum; i++)
        if (section_at(bytes, len, &eh, i, &table) && table.sh_type == SHT_DYNSYM &&
            section_at(bytes, len, &eh, table.sh_link, &names)) {
            table_read(bytes, len, &table, &names, out);
            return; /* a library has one */
        }
}
