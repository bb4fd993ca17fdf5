"""Which cells of a notebook need the live network: found by reading the code, not by guessing from the output.

A cell is live when the code that runs *in the cell* starts a network, or loads a name that a live cell bound to something
that cannot be written down (a host, a socket, a thread).  Code that the cell only defines does not count; but a function
that mentions live names is tainted, and a cell that loads it is live.  Where reading cannot tell, the answer is "live":
too much is recorded then, which shows as an honest mark, while too little would show another machine's truth as this one's.
"""

import ast
import re
from dataclasses import dataclass, field

__all__ = ["DEFINING", "STARTERS", "Code", "Tracker", "read"]

DEFINING = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
MAGIC = {"run_line_magic", "run_cell_magic", "system", "getoutput"}  # what IPython makes of %name, %%name, ! and !!
STARTERS = {"network", "program"}  # the names of `labs` that start something live


@dataclass
class Code:
    """What a piece of code does with names when it runs.  `defines` holds what runs only when somebody calls it."""

    loads: set = field(default_factory=set)
    stores: set = field(default_factory=set)
    deletes: set = field(default_factory=set)
    imports: set = field(default_factory=set)  # names that import statements bind
    attributes: set = field(default_factory=set)  # (name, attribute) for every `name.attribute`
    starters: set = field(default_factory=set)  # names that `from labs import network` binds
    aliases: set = field(default_factory=set)  # names that `import labs as …` binds
    defines: dict = field(default_factory=dict)  # name → Code of the body, its own local names taken out
    needs: dict = field(default_factory=dict)  # name → names that its decorators, defaults or bases load
    globals: set = field(default_factory=set)
    top: set = field(default_factory=set)  # names bound by an import, def or class that is a statement of the cell itself

    def bound(self):
        return self.stores | self.imports | set(self.defines)

    def free(self):
        """Every name that the code and what it defines reach for."""
        return self.loads.union(*(code.free() for code in self.defines.values()))

    def all_attributes(self):
        return self.attributes.union(*(code.all_attributes() for code in self.defines.values()))


def read(source):
    """The `Code` of a cell (Python; IPython's own syntax already translated).  Raises SyntaxError."""
    reader = _Reader()
    for statement in ast.parse(source).body:
        before = reader.code.stores.copy()
        reader.visit(statement)
        if isinstance(statement, DEFINING):
            part = _Reader()
            part.visit(statement)
            reader.code.top |= part.code.bound() - before
        else:
            reader.code.top -= reader.code.stores - before
    return reader.code


class _Reader(ast.NodeVisitor):
    def __init__(self):
        self.code = Code()

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Store):
            self.code.stores.add(node.id)
        else:
            self.code.loads.add(node.id)
        if isinstance(node.ctx, ast.Del):
            self.code.deletes.add(node.id)

    def visit_AugAssign(self, node):
        if isinstance(node.target, ast.Name):  # n += 1 reads n first
            self.code.loads.add(node.target.id)
        self.generic_visit(node)

    def visit_Attribute(self, node):
        if isinstance(node.value, ast.Name):
            self.code.attributes.add((node.value.id, node.attr))
        self.visit(node.value)

    def visit_Call(self, node):
        """`%timeit client.connect(…)` reaches Python as a call with the code in a text: every word in it may be a name."""
        if isinstance(node.func, ast.Attribute) and node.func.attr in MAGIC:
            text = " ".join(arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))
            self.code.loads.update(re.findall(r"[^\W\d]\w*", text))
            self.code.attributes.update(re.findall(r"([^\W\d]\w*)\.([^\W\d]\w*)", text))
        self.generic_visit(node)

    def visit_Global(self, node):
        self.code.globals.update(node.names)

    def visit_Import(self, node):
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            self.code.imports.add(name)
            if alias.name == "labs" or (alias.name.startswith("labs.") and not alias.asname):
                self.code.aliases.add(name)
            elif alias.name.startswith("labs.") and alias.name.split(".")[1] in STARTERS:
                self.code.starters.add(name)

    def visit_ImportFrom(self, node):
        module = (node.module or "").split(".")
        for alias in node.names:
            name = alias.asname or alias.name
            self.code.imports.add(name)
            if module[0] == "labs" and (module[1:] or [alias.name])[0] in STARTERS:
                self.code.starters.add(name)

    def visit_ExceptHandler(self, node):
        if node.name:  # unbound again when the handler ends
            self.code.stores.add(node.name)
        self.generic_visit(node)

    def visit_MatchAs(self, node):
        if node.name:
            self.code.stores.add(node.name)
        self.generic_visit(node)

    visit_MatchStar = visit_MatchAs

    def visit_MatchMapping(self, node):
        if node.rest:
            self.code.stores.add(node.rest)
        self.generic_visit(node)

    def visit_FunctionDef(self, node):
        runs_now = node.decorator_list + node.args.defaults + [default for default in node.args.kw_defaults if default]
        self._define(node.name, runs_now, node.body, _parameters(node.args))

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node):
        """A class body runs at once; the methods in it do not."""
        body = self._aside(node.body)
        self._define(node.name, node.decorator_list + node.bases + [word.value for word in node.keywords], node.body, set())
        local = body.bound()
        self.code.loads |= body.loads - local
        self.code.needs[node.name] |= body.loads - local
        self.code.attributes |= body.attributes

    def visit_Assign(self, node):
        """`f = lambda …` defines; any other lambda is handed to somebody who may call it now."""
        if isinstance(node.value, ast.Lambda) and all(isinstance(target, ast.Name) for target in node.targets):
            for target in node.targets:
                self._define(target.id, node.value.args.defaults, [node.value.body], _parameters(node.value.args))
        else:
            self.generic_visit(node)

    def visit_Lambda(self, node):
        for default in node.args.defaults + [default for default in node.args.kw_defaults if default]:
            self.visit(default)
        self._merge(self._aside([node.body]), _parameters(node.args))

    def visit_ListComp(self, node):
        code = self._aside(list(ast.iter_child_nodes(node)))
        local = {name.id for part in node.generators for name in ast.walk(part.target) if isinstance(name, ast.Name)}
        self._merge(code, local)
        self.code.stores |= code.stores - local  # a walrus in a comprehension binds outside of it

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    def _aside(self, nodes):
        reader = _Reader()
        for node in nodes:
            reader.visit(node)
        return reader.code

    def _merge(self, code, local):
        self.code.loads |= code.loads - local
        self.code.attributes |= {pair for pair in code.attributes if pair[0] not in local}
        self.code.defines.update(code.defines)

    def _define(self, name, runs_now, body, parameters):
        now = self._aside(runs_now)
        self.code.loads |= now.loads
        self.code.attributes |= now.attributes
        self.code.needs[name] = set(now.loads)
        code = self._aside(body)
        local = (parameters | code.bound()) - code.globals
        self.code.defines[name] = Code(
            loads=code.free() - local,
            attributes={pair for pair in code.all_attributes() if pair[0] not in local},
            starters=code.starters,
        )


def _parameters(args):
    every = args.posonlyargs + args.args + args.kwonlyargs + [args.vararg, args.kwarg]
    return {arg.arg for arg in every if arg}


class Tracker:
    """What is live so far, cell after cell."""

    def __init__(self):
        self.live = set()  # names bound to something that cannot be written down
        self.defined = {}  # name → Code of a function or class of the notebook
        self.aliases = {"labs"}
        self.starters = set()

    def reaches(self, code):
        """The names that running `code` may load: its own, and those of the notebook's functions among them."""
        found, todo = set(), set(code.loads)
        while todo:
            name = todo.pop()
            found.add(name)
            if name in self.defined:
                todo |= self.defined[name].free() - found
        return found

    def why(self, code):
        """The names that make `code` live, in order; empty when it is not."""
        # Functions that this very cell defines count as well: it may call them.
        reached = self.reaches(code)
        bodies = []
        for name in list(reached):
            if name in code.defines:
                bodies.append(code.defines[name])
                reached |= self.reaches(code.defines[name])
        bodies += [self.defined[name] for name in reached if name in self.defined]
        reasons = reached & (self.live | self.starters | code.starters)
        for part in [code, *bodies]:
            reasons |= {f"{name}.{attribute}" for name, attribute in part.attributes if self._starts(name, attribute, code)}
            reasons |= part.starters
        return sorted(reasons)

    def _starts(self, name, attribute, code):
        return attribute in STARTERS and name in self.aliases | code.aliases

    def after(self, code, live=(), bound=()):
        """Note what a cell has bound.  `live`: names it bound to something live; `bound`: all others."""
        for name in code.bound() | set(bound):
            self.live.discard(name)
            self.defined.pop(name, None)
            self.starters.discard(name)
        self.defined.update(code.defines)
        self.aliases |= code.aliases
        self.starters |= code.starters
        self.live |= set(live)
