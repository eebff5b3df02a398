-- Module file of Copper for Lmod. It belongs to an installation and finds it by its own place there,
-- ROOT/share/modulefiles/copper/VERSION.lua, wherever ROOT has been moved to:
--
--   module use ROOT/share/modulefiles
--   module load copper
--
-- Where a site wants it in a directory of its own, write ROOT here.
local root = nil

-- What this site wants to differ from Copper's own defaults: `copper launch --help` names the variable of each
-- option. What a user sets after loading, and options, override these.
local defaults = {
  -- COPPER_CORES = "48,49,50,51",
  -- COPPER_DIR = pathJoin(os.getenv("HOME"), "copper-logs"),
}

-- Machines with defaults in Copper itself, those of the wrappers launch_copper_<name>.sh.
local sites = { aurora = true, frontier = true }

local file = myFileName()
root = root or file:match("^(.+)/share/modulefiles/copper/[^/]+$")
if not root then
  LmodError(file .. " is not in an installation of Copper (ROOT/share/modulefiles/copper): write its root into this file")
end

help([[
Copper reads each file of a parallel file system once per job and hands it from node to node:

  launch_copper_<site>.sh        start it in a job; returns when every node's mount answers
  /tmp/$USER/copper/lus/x/y      is then /lus/x/y: prepend the mount to the paths that matter
  stop_copper_<site>.sh          stop it, at the end of the job

man copper has the commands, $COPPER_ROOT/share/copper/examples job scripts.]])
whatis("Name: Copper")
whatis("Version: " .. file:match("([^/]+)%.lua$"))
whatis("Description: read-only cooperative cache of a parallel file system, for the start of large jobs")

conflict("copper")
setenv("COPPER_ROOT", root)
prepend_path("PATH", pathJoin(root, "bin"))
prepend_path("MANPATH", pathJoin(root, "share/man"))
local site = os.getenv("LMOD_SYSTEM_NAME") or ""
if sites[site] then
  pushenv("COPPER_SITE", site)
end
for name, value in pairs(defaults) do
  pushenv(name, value)
end
