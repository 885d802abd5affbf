class Lane: pass
class Worker: pass
class WorkerOptions: pass
